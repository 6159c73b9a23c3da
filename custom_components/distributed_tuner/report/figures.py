"""The charts over time: best so far, and who held which trial when. See `style` for what all charts share."""

from __future__ import annotations

import dataclasses
import html

import plotly.graph_objects as go

from custom_components.distributed_tuner.record import formatting, summary
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, Stay, TrialRecord
from custom_components.distributed_tuner.report import axes, style

_UNITS = ((180.0, 1.0, "seconds"), (3 * 3600.0, 60.0, "minutes"), (3 * 86400.0, 3600.0, "hours"))
_LABELLED_STAYS = 120
_LABELLED_WORKERS = 50
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
    style.apply(figure, height=380)
    figure.update_xaxes(title=f"{unit_name} since the start", rangemode="tozero")
    figure.update_yaxes(title=_axis_title(record), range=[low - pad, high + pad])
    return figure


def timeline(record: SearchRecord, now: float) -> go.Figure | None:
    """One row a worker, one bar a stay of a trial, coloured and hatched by outcome; None without a stay."""
    until = summary.last_moment(record, now)
    unit, unit_name = _unit(until - record.started)
    workers = sorted(record.workers(), key=formatting.natural)
    rows = {worker: row for row, worker in enumerate(workers)}
    spans = [
        _Span(trial, stay, rows[stay.worker], (stay.started - record.started) / unit, _length(stay, until) / unit)
        for trial in record.trials
        for stay in trial.stays
    ]
    if not spans:
        return None
    figure = go.Figure()
    for outcome in Outcome:
        members = [span for span in spans if span.stay.outcome is outcome]
        if not members:
            continue
        texts = [_stay_text(record, span.trial, span.stay, until) for span in members]
        figure.add_bar(**_bars(outcome, members, texts, dense=len(spans) > _LABELLED_STAYS))
        if outcome in _MARKS:
            figure.add_scatter(**_marks(outcome, members))
    style.apply(figure, height=min(1400, max(190, 26 * len(workers) + 120)))
    figure.update_layout(barmode="overlay", uniformtext={"minsize": 9, "mode": "hide"})
    end = max((until - record.started) / unit, 1e-9)
    figure.update_xaxes(title=f"{unit_name} since the start", range=[0, end * 1.01])
    every = -(-len(workers) // _LABELLED_WORKERS)
    figure.update_yaxes(
        tickvals=list(range(0, len(workers), every)),
        ticktext=[html.escape(formatting.shorten(worker, 24)) for worker in workers[::every]],
        range=[len(workers) - 0.5, -0.5],
        showgrid=False,
    )
    return figure


@dataclasses.dataclass(frozen=True)
class _Span:
    """A stay in the chart's coordinates: `row` from 0, `start` and `length` in the unit of the time axis."""

    trial: TrialRecord
    stay: Stay
    row: int
    start: float
    length: float


def _bars(outcome: Outcome, spans: list[_Span], texts: list[str], *, dense: bool) -> dict[str, object]:
    labels = [html.escape(formatting.shorten(span.trial.trial_id, 12)) for span in spans]
    return {
        "name": outcome.value,
        "orientation": "h",
        "width": 0.78,
        "y": [span.row for span in spans],
        "base": [span.start for span in spans],
        "x": [span.length for span in spans],
        "customdata": [span.trial.trial_id for span in spans],
        "hovertext": texts,
        "hoverinfo": "text",
        "text": None if dense else labels,
        "textposition": "none" if dense else "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": f"var(--on-{outcome.value})"},
        "marker": {
            "color": f"var(--{outcome.value})",
            "line": {"color": "var(--surface)", "width": 0.3 if dense else 1},
            "pattern": {
                "shape": _HATCHING.get(outcome, ""),
                "bgcolor": f"var(--{outcome.value})",
                "fgcolor": "var(--hatch)",
                "size": 6,
                "solidity": 0.2,
            },
        },
    }


def _marks(outcome: Outcome, spans: list[_Span]) -> dict[str, object]:
    """A mark where each stay ended, so that one too short for its colour to be seen shows all the same."""
    return {
        "name": f"{outcome.value} here",
        "mode": "markers",
        "x": [span.start + span.length for span in spans],
        "y": [span.row for span in spans],
        "hoverinfo": "skip",
        "showlegend": False,
        "marker": {
            "symbol": _MARKS[outcome],
            "size": 9,
            "color": f"var(--{outcome.value})",
            "line": {"color": "var(--ink)", "width": 1},
        },
    }


def _unit(seconds: float) -> tuple[float, str]:
    for limit, unit, name in _UNITS:
        if seconds < limit:
            return unit, name
    return 86400.0, "days"


def _axis_title(record: SearchRecord) -> str:
    return f"{html.escape(formatting.shorten(record.objective, 40))} ({record.direction.better} is better)"


def _length(stay: Stay, until: float) -> float:
    return max(0.0, (until if stay.ended is None else stay.ended) - stay.started)


def _stay_text(record: SearchRecord, trial: TrialRecord, stay: Stay, until: float) -> str:
    nth = trial.stays.index(stay) + 1
    lines = [
        f"<b>trial {html.escape(trial.trial_id)}</b> on {html.escape(stay.worker)}",
        f"{stay.outcome.value} after {formatting.duration(_length(stay, until))}",
        f"from {formatting.moment(stay.started)}",
    ]
    if len(trial.stays) > 1:
        lines.append(f"stay {nth} of {len(trial.stays)}")
    if trial.score is not None:
        lines.append(f"{html.escape(record.objective)}: {formatting.number(trial.score)}")
    return "<br>".join(lines)
