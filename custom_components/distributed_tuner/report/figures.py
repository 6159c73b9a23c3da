"""The charts of the report, each a plotly figure made from a record.

Colours are names of the page's CSS variables, `var(--name)`; the page's script puts in the values of the light or the
dark scheme. All charts are drawn as SVG: no WebGL, no `eval`, so they work under the page's content security policy,
on machines without a GPU, and on paper. Plotly reads a small subset of HTML in any text, so all text is escaped.

A point that stands for a trial carries the trial's id as customdata; `trial_texts` holds what hovering over it shows,
once for all charts, since a trial has a point on every axis of the parallel coordinates.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from custom_components.distributed_tuner.record import Direction, Outcome, SearchRecord, Stay, TrialRecord
from custom_components.distributed_tuner.report import axes, formatting, summary

SHADES = 8

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_UNITS = ((180.0, 1.0, "seconds"), (3 * 3600.0, 60.0, "minutes"), (3 * 86400.0, 3600.0, "hours"))
_LABELLED_STAYS = 120
_HOVERED_HYPERPARAMETERS = 12
# Hatching tells the outcomes apart without colour.
_HATCHING = {Outcome.FAILED: "x", Outcome.LOST: "/", Outcome.RELEASED: "\\", Outcome.STOPPED: "-"}
_MARKS = {Outcome.LOST: "x", Outcome.RELEASED: "triangle-left"}


def best_so_far(record: SearchRecord, now: float) -> go.Figure | None:
    """Scores over time, with the best up to each moment as a stepped line; None without a timed score.

    The scores that `axes.readable_bounds` leaves out lie outside the range shown at first.
    """
    timed = [(trial.ended, trial.score, trial) for trial in record.completed()]
    points = [(ended, score, trial) for ended, score, trial in timed if ended is not None and score is not None]
    if not points:
        return None
    until = summary.last_moment(record, now)
    unit, unit_name = _unit(until - record.started)
    low, high = axes.readable_bounds([score for _, score, _ in points], record.direction)
    steps = [(ended, trial) for ended, trial in record.best_so_far()]
    line_x = [(ended - record.started) / unit for ended, _ in steps]
    line_y = [trial.score for _, trial in steps]
    figure = go.Figure()
    figure.add_scatter(
        name="completed trial",
        mode="markers",
        x=[(ended - record.started) / unit for ended, _, _ in points],
        y=[score for _, score, _ in points],
        customdata=[trial.trial_id for _, _, trial in points],
        hoverinfo="text",
        marker={"color": "var(--dot)", "size": 7 if len(points) < 300 else 5, "opacity": 0.75},
    )
    figure.add_scatter(
        name="best so far",
        mode="lines",
        x=[*line_x, max(line_x[-1], (until - record.started) / unit)],
        y=[*line_y, line_y[-1]],
        line={"color": "var(--accent)", "width": 2.5, "shape": "hv"},
        hoverinfo="skip",
    )
    figure.add_scatter(
        name="improvement",
        mode="markers",
        x=line_x,
        y=line_y,
        customdata=[trial.trial_id for _, trial in steps],
        hoverinfo="text",
        marker={"color": "var(--accent)", "size": 9, "line": {"color": "var(--surface)", "width": 1.5}},
    )
    pad = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    _style(figure, height=380)
    figure.update_xaxes(title=f"{unit_name} since the start", rangemode="tozero")
    figure.update_yaxes(title=_axis_title(record), range=[low - pad, high + pad])
    return figure


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
    places = tuple(range(len(laid_out)))
    thin = 1.4 if len(trials) < 200 else 0.6
    figure = go.Figure()
    shades = _shades(scores)
    for shade in range(SHADES):
        members = [index for index, of_trial in enumerate(shades) if of_trial == shade]
        if not members:
            continue
        xs: list[float | None] = []
        ys: list[float | None] = []
        ids: list[str | None] = []
        for index in reversed(members):
            xs += [*places, None]
            ys += [*(round(axis.positions[index], 4) for axis in laid_out), None]
            ids += [trials[index].trial_id] * len(places) + [None]
        figure.add_scatter(
            name=f"shade {shade}",
            mode="lines",
            x=xs,
            y=ys,
            customdata=ids,
            hoverinfo="text",
            line={"color": f"var(--shade-{shade})", "width": thin * (1.5 if shade == SHADES - 1 else 1.0)},
            opacity=1.0 if len(trials) < 200 or shade == SHADES - 1 else 0.55,
            showlegend=False,
        )
    figure.add_scatter(**_colour_bar(scores, record.direction))
    for place, axis in enumerate(laid_out):
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
    _style(figure, height=430)
    left = 12 + 4 * max(map(len, axes.name_lines(names[0])))
    figure.update_layout(margin={"l": left, "r": 8, "t": 44, "b": 8}, hovermode="closest")
    figure.update_xaxes(
        side="top",
        tickvals=list(places),
        ticktext=["<br>".join(f"<b>{html.escape(line)}</b>" for line in axes.name_lines(axis.name)) for axis in laid_out],
        range=[-0.05, len(laid_out) - 1 + 0.4],
        showgrid=False,
        showline=False,
        fixedrange=True,
        tickangle=0,
    )
    figure.update_yaxes(visible=False, range=[-0.05, 1.05], fixedrange=True)
    return figure


def timeline(record: SearchRecord, now: float) -> go.Figure | None:
    """One row a worker, one bar a stay of a trial, coloured and hatched by outcome; None without a stay."""
    stays = [(trial, stay) for trial in record.trials for stay in trial.stays]
    if not stays:
        return None
    until = summary.last_moment(record, now)
    unit, unit_name = _unit(until - record.started)
    workers = sorted(record.workers(), key=formatting.natural)
    row = {worker: index for index, worker in enumerate(workers)}
    labelled = len(stays) <= _LABELLED_STAYS
    figure = go.Figure()
    for outcome in Outcome:
        members = [(trial, stay) for trial, stay in stays if stay.outcome is outcome]
        if not members:
            continue
        figure.add_bar(
            name=outcome.value,
            orientation="h",
            width=0.78,
            y=[row[stay.worker] for _, stay in members],
            base=[(stay.started - record.started) / unit for _, stay in members],
            x=[max(0.0, _end(stay, until) - stay.started) / unit for _, stay in members],
            customdata=[trial.trial_id for trial, _ in members],
            hovertext=[_stay_text(record, trial, stay, until) for trial, stay in members],
            hoverinfo="text",
            text=[html.escape(formatting.shorten(trial.trial_id, 12)) for trial, _ in members] if labelled else None,
            textposition="inside" if labelled else "none",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": f"var(--on-{outcome.value})"},
            marker={
                "color": f"var(--{outcome.value})",
                "line": {"color": "var(--surface)", "width": 1 if len(stays) < 500 else 0.3},
                "pattern": {
                    "shape": _HATCHING.get(outcome, ""),
                    "bgcolor": f"var(--{outcome.value})",
                    "fgcolor": "var(--hatch)",
                    "size": 6,
                    "solidity": 0.2,
                },
            },
        )
        if outcome in _MARKS:
            figure.add_scatter(
                name=f"{outcome.value} here",
                mode="markers",
                x=[(_end(stay, until) - record.started) / unit for _, stay in members],
                y=[row[stay.worker] for _, stay in members],
                customdata=[trial.trial_id for trial, _ in members],
                hoverinfo="skip",
                showlegend=False,
                marker={
                    "symbol": _MARKS[outcome],
                    "size": 9,
                    "color": f"var(--{outcome.value})",
                    "line": {"color": "var(--ink)", "width": 1},
                },
            )
    _style(figure, height=round(min(1400, max(190, 26 * len(workers) + 120))))
    figure.update_layout(barmode="overlay", uniformtext={"minsize": 9, "mode": "hide"})
    figure.update_xaxes(title=f"{unit_name} since the start", range=[0, max((until - record.started) / unit, 1e-9) * 1.01])
    every = max(1, -(-len(workers) // 50))
    figure.update_yaxes(
        tickvals=list(row.values())[::every],
        ticktext=[html.escape(formatting.shorten(worker, 24)) for worker in workers[::every]],
        range=[len(workers) - 0.5, -0.5],
        showgrid=False,
        automargin=True,
    )
    return figure


def trial_texts(record: SearchRecord) -> dict[str, str]:
    """What to show of each completed trial on hover, by trial id, as plotly's HTML."""
    return {trial.trial_id: _trial_text(record, trial) for trial in record.completed()}


def _style(figure: go.Figure, height: int) -> None:
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


def _unit(seconds: float) -> tuple[float, str]:
    for limit, unit, name in _UNITS:
        if seconds < limit:
            return unit, name
    return 86400.0, "days"


def _axis_title(record: SearchRecord) -> str:
    better = "lower" if record.direction is Direction.MIN else "higher"
    return f"{html.escape(formatting.shorten(record.objective, 40))} ({better} is better)"


def _end(stay: Stay, until: float) -> float:
    return until if stay.ended is None else stay.ended


def _trial_text(record: SearchRecord, trial: TrialRecord) -> str:
    lines = [
        f"<b>trial {html.escape(trial.trial_id)}</b>",
        f"{html.escape(record.objective)}: {formatting.score(trial.score)}",
        *_hyperparameter_lines(trial.configuration),
    ]
    return "<br>".join(lines)


def _hyperparameter_lines(configuration: Sequence[tuple[str, object]]) -> list[str]:
    shown = configuration[:_HOVERED_HYPERPARAMETERS]
    lines = [
        html.escape(f"{name}: {formatting.shorten(formatting.hyperparameter(value), 40)}")  # type: ignore[arg-type]
        for name, value in shown
    ]
    if len(configuration) > len(shown):
        lines.append(f"and {len(configuration) - len(shown)} more")
    return lines


def _stay_text(record: SearchRecord, trial: TrialRecord, stay: Stay, until: float) -> str:
    nth = trial.stays.index(stay) + 1
    lines = [
        f"<b>trial {html.escape(trial.trial_id)}</b> on {html.escape(stay.worker)}",
        f"{stay.outcome.value} after {formatting.duration(_end(stay, until) - stay.started)}",
        f"from {formatting.moment(stay.started)}",
    ]
    if len(trial.stays) > 1:
        lines.append(f"stay {nth} of {len(trial.stays)}")
    if trial.score is not None:
        lines.append(f"{html.escape(record.objective)}: {formatting.number(trial.score)}")
    return "<br>".join(lines)
