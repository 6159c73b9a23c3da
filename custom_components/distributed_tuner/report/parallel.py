"""Parallel coordinates: how hyperparameters and score relate.

Drawn as plain lines. Plotly's own chart of that kind needs WebGL and `eval`, prints blurred and supports no missing
values.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from custom_components.distributed_tuner.record import formatting, summary
from custom_components.distributed_tuner.record.record import Direction, SearchRecord, TrialRecord
from custom_components.distributed_tuner.report import axes, style

SHADES = 8

# From so many trials on, lines are drawn thinner.
_MANY = 200


def parallel_coordinates(record: SearchRecord) -> go.Figure | None:
    """One line a completed trial across an axis for each hyperparameter and one for the score, coloured by score.

    None without a completed trial or without a hyperparameter. The shades, from 0 (worst) to `SHADES` - 1 (best), hold
    equally many trials each: equal steps of score would leave the best trials all alike next to a few diverged ones.
    """
    trials = record.completed()
    names = summary.hyperparameter_names(trials)
    if not trials or not names:
        return None
    scores = [trial.score for trial in trials if trial.score is not None]
    bounds = axes.readable_bounds(scores, record.direction)
    laid_out = [axes.hyperparameter_axis(name, [trial.hyperparameters.get(name) for trial in trials]) for name in names]
    laid_out.append(axes.score_axis(record.objective, scores, bounds))
    figure = go.Figure()
    shades = _shades(scores)
    for shade in sorted(set(shades)):
        members = [index for index, of_trial in enumerate(shades) if of_trial == shade]
        figure.add_scatter(
            **_lines(shade, [(trials[index], index) for index in reversed(members)], laid_out, len(trials))
        )
    figure.add_scatter(**_colour_bar(scores, record.direction))
    for place, axis in enumerate(laid_out):
        _draw_axis(figure, place, axis)
    style.apply(figure, height=430)
    left = 12 + 4 * max(map(len, axes.name_lines(names[0])))
    figure.update_layout(margin={"l": left, "r": 8, "t": 44, "b": 8}, hovermode="closest")
    figure.update_xaxes(
        side="top",
        tickvals=list(range(len(laid_out))),
        ticktext=[
            "<br>".join(f"<b>{html.escape(line)}</b>" for line in axes.name_lines(axis.name)) for axis in laid_out
        ],
        range=[-0.05, len(laid_out) - 1 + 0.4],
        showgrid=False,
        showline=False,
        fixedrange=True,
        tickangle=0,
    )
    figure.update_yaxes(visible=False, range=[-0.05, 1.05], fixedrange=True)
    return figure


def _lines(
    shade: int, members: list[tuple[TrialRecord, int]], laid_out: list[axes.Axis], total: int
) -> dict[str, object]:
    """The lines of one shade as one trace, with a gap after each; later members lie on top."""
    many = total >= _MANY
    best = shade == SHADES - 1
    xs: list[float | None] = []
    ys: list[float | None] = []
    ids: list[str | None] = []
    for trial, index in members:
        xs += [*range(len(laid_out)), None]
        ys += [*(round(axis.positions[index], 4) for axis in laid_out), None]
        ids += [trial.trial_id] * len(laid_out) + [None]
    return {
        "name": f"shade {shade}",
        "mode": "lines",
        "x": xs,
        "y": ys,
        "customdata": ids,
        "hoverinfo": "text",
        "line": {"color": f"var(--shade-{shade})", "width": (0.6 if many else 1.4) * (1.5 if best else 1.0)},
        "opacity": 0.55 if many and not best else 1.0,
        "showlegend": False,
    }


def _draw_axis(figure: go.Figure, place: int, axis: axes.Axis) -> None:
    figure.add_shape(type="line", x0=place, x1=place, y0=0, y1=1, line={"color": "var(--axis)", "width": 1.2})
    for tick in axis.ticks:
        figure.add_annotation(
            x=place,
            y=tick.position,
            text=html.escape(tick.label),
            showarrow=False,
            xanchor="left",
            xshift=3,
            borderpad=1,
            bgcolor="var(--veil)",
            font={"size": 11, "color": "var(--ink)"},
        )


def _colour_bar(scores: Sequence[float], direction: Direction) -> dict[str, object]:
    """A trace that shows nothing but the colour bar, whose ticks are the scores at the quartiles."""
    ascending = direction is Direction.MAX
    order = range(SHADES) if ascending else range(SHADES - 1, -1, -1)
    scale = [[(place + side) / SHADES, f"var(--shade-{shade})"] for place, shade in enumerate(order) for side in (0, 1)]
    quartiles = [scores[round(quarter / 4 * (len(scores) - 1))] for quarter in range(5)]
    return {
        "name": "colour bar",
        "x": [None],
        "y": [None],
        "mode": "markers",
        "showlegend": False,
        "hoverinfo": "skip",
        "marker": {
            "colorscale": scale,
            "cmin": 0,
            "cmax": 4,
            "color": [0],
            "showscale": True,
            "colorbar": {
                "thickness": 10,
                "outlinewidth": 0,
                "xpad": 4,
                "len": 1,
                "ypad": 22,
                "tickvals": [0, 1, 2, 3, 4],
                "ticktext": [formatting.number(score) for score in (quartiles[::-1] if ascending else quartiles)],
            },
        },
    }


def _shades(scores: Sequence[float]) -> list[int]:
    # Equal scores share a shade, that of the best placed among them.
    shades: list[int] = []
    for place, score in enumerate(scores):
        same = place > 0 and score == scores[place - 1]
        shades.append(shades[-1] if same else SHADES - 1 - place * SHADES // len(scores))
    return shades
