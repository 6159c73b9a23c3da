"""What all charts of the report share: they are plotly figures whose colours are names.

A colour is the name of one of the page's CSS variables, `var(--name)`; the page's script puts in the values of the
light or the dark scheme. All charts are drawn as SVG: no WebGL, no `eval`, so they work under the page's content
security policy, on machines without a GPU, and on paper. Plotly reads a small subset of HTML in any text, so all text
is escaped.
"""

from __future__ import annotations

import plotly.graph_objects as go

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def apply(figure: go.Figure, height: int) -> None:
    """Gives the figure the common look and a height in pixels."""
    line = {"gridcolor": "var(--grid)", "linecolor": "var(--axis)", "zeroline": False, "automargin": True}
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 16, "t": 40, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": _FONT, "size": 12, "color": "var(--ink)"},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        modebar={"bgcolor": "var(--veil)", "color": "var(--muted)", "activecolor": "var(--accent)"},
        hoverlabel={
            "bgcolor": "var(--surface)",
            "bordercolor": "var(--axis)",
            "align": "left",
            "font": {"color": "var(--ink)", "family": _FONT, "size": 12},
        },
        xaxis=line,
        yaxis=line,
    )
