"""Draws docs/images/report.svg, the README's picture of a search report: `python -m docs.images.make_report_svg`.

The search is the made-up one of `report.example`; charts and colours are those of the report itself, laid out on one
page without a browser.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from custom_components.distributed_tuner.record import formatting, summary
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.report import axes, figures, parallel
from custom_components.distributed_tuner.report.example import example_now, example_record
from custom_components.distributed_tuner.report.html import stylesheet

PICTURE = Path(__file__).with_name("report.svg")

_WIDTH, _HEIGHT = 1000, 850
_LEADERS, _CHOSEN = 8, 3
# The right edges of the leaderboard's columns: three of its own, and the hyperparameters that every trial has.
_EDGES = (40, 84, 138, 226, 304, 386, 449)
_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--ink); }
.title { font-size: 22px; font-weight: 700; } .head { font-size: 15px; font-weight: 600; }
.muted { fill: var(--muted); } .big { font-size: 17px; font-weight: 600; } .bold { font-weight: 600; }
.small { font-size: 10.5px; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.card { fill: var(--surface); stroke: var(--line); }
.on { fill: none; stroke-linejoin: round; }
"""

Scale = Callable[[float], float]


def picture() -> str:
    """The whole SVG document."""
    record = example_record()
    now = example_now(record)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-label="A search report: leaderboard, best score over time, hyperparameters, workers and trials">',
        f"<style>{_colours()}{_STYLE}</style>",
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="2" height="6" fill="var(--hatch)"/></pattern></defs>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="12" fill="var(--page)"/>',
        *_header(record, summary.summarise(record, now)),
        *_card(20, 130, 465, 262, "Leaderboard"),
        *_leaderboard(record, 20, 176),
        *_card(500, 130, 480, 262, "Best so far"),
        *_curve(figures.best_so_far(record, now), 552, 172, 412, 178),
        *_card(20, 407, 960, 248, "Hyperparameters and score"),
        *_parallel(parallel.parallel_coordinates(record), 84, 468, 802, 168),
        *_card(20, 670, 960, 160, "Workers and trials"),
        *_timeline(figures.timeline(record, now), 96, 706, 868, 88),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _colours() -> str:
    css = stylesheet()
    light = re.search(r":root \{[^}]*\}", css)
    dark = re.search(r"@media screen and \(prefers-color-scheme: dark\) \{\s*:root[^}]*\}\s*\}", css)
    if light is None or dark is None:
        raise ValueError("the report's stylesheet has no :root block for the light or for the dark scheme")
    return light[0] + dark[0]


def _header(record: SearchRecord, totals: summary.Summary) -> Iterable[str]:
    yield _text(20, 40, f"Search report: {record.name}", "title")
    yield _text(_WIDTH - 20, 40, "drawn from example data", "end small muted")
    tiles = (
        ("Best score", formatting.score(totals.best.score if totals.best else None)),
        ("Trials completed", f"{totals.completed} of {record.max_trials}"),
        ("Failed", str(totals.failed)),
        ("Distinct configurations", str(totals.distinct)),
        ("Workers", str(totals.workers)),
        ("Wall time", formatting.duration(totals.wall_seconds)),
    )
    for index, (label, value) in enumerate(tiles):
        x = 20 + index * 161.5
        yield f'<rect class="card" x="{x}" y="60" width="152.5" height="55" rx="8"/>'
        yield _text(x + 12, 80, label, "small muted")
        yield _text(x + 12, 103, value, "big")


def _card(x: float, y: float, width: float, height: float, title: str) -> Iterable[str]:
    yield f'<rect class="card" x="{x}" y="{y}" width="{width}" height="{height}" rx="10"/>'
    yield _text(x + 16, y + 26, title, "head")


def _leaderboard(record: SearchRecord, left: float, top: float) -> Iterable[str]:
    names = summary.hyperparameter_names(record.trials)[: len(_EDGES) - 3]
    for label, x in zip(("rank", "trial", "score", *names), _EDGES, strict=True):
        yield _text(left + x, top, label, "end small muted")
    yield _line(left + 14, top + 8, left + 451, top + 8, "var(--axis)")
    for index, trial in enumerate(record.distinct()[:_LEADERS]):
        y = top + 27 + 24 * index
        chosen = index < _CHOSEN
        if chosen:
            yield f'<rect x="{left + 14}" y="{y - 16}" width="437" height="24" fill="var(--chosen)"/>'
        values = [trial.hyperparameters.get(name) for name in names]
        cells = [str(index + 1), trial.trial_id, formatting.score(trial.score), *map(formatting.hyperparameter, values)]
        for x, cell in zip(_EDGES, cells, strict=True):
            yield _text(left + x, y, cell, "end bold" if chosen else "end")
        yield _line(left + 14, y + 8, left + 451, y + 8, "var(--line)")


def _curve(figure: Any, left: float, top: float, width: float, height: float) -> Iterable[str]:
    dots, line, improvements = figure.data
    low, high = figure.layout.yaxis.range
    end = max(line.x)
    x, y = _scale(0, end, left, left + width), _scale(low, high, top + height, top)
    yield from _grid(axes.round_steps(0, end), axes.round_steps(low, high, 4), x, y, (left, top, width, height))
    yield _text(left + width / 2, top + height + 34, figure.layout.xaxis.title.text, "middle muted")
    for px, py in zip(dots.x, dots.y, strict=True):
        if low <= py <= high:
            yield _dot(x(px), y(py), 3, dots.marker.color)
    steps = [(line.x[0], line.y[0])]
    for px, py in zip(line.x[1:], line.y[1:], strict=True):
        steps += [(px, steps[-1][1]), (px, py)]
    yield _path([(x(px), y(py)) for px, py in steps], line.line.color, 2.5)
    for px, py in zip(improvements.x, improvements.y, strict=True):
        yield _dot(x(px), y(py), 4.5, improvements.marker.color)


def _parallel(figure: Any, left: float, top: float, width: float, height: float) -> Iterable[str]:
    last = len(figure.layout.xaxis.tickvals) - 1
    x, y = _scale(0, last, left, left + width), _scale(0, 1, top + height, top)
    for trace in figure.data:
        points: list[tuple[float, float]] = []
        for px, py in zip(trace.x, trace.y, strict=True):
            if px is not None:
                points.append((x(px), y(py)))
            elif points:
                yield _path(points, trace.line.color, trace.line.width)
                points = []
    for place, name in zip(figure.layout.xaxis.tickvals, figure.layout.xaxis.ticktext, strict=True):
        yield _line(x(place), top, x(place), top + height, "var(--axis)")
        yield _text(x(place), top - 12, re.sub(r"<[^>]+>", "", name), "middle small bold")
    for label in figure.layout.annotations:
        wide = 6 * len(label.text) + 4
        yield f'<rect x="{x(label.x) + 3:.1f}" y="{y(label.y) - 7:.1f}" width="{wide}" height="14" fill="var(--veil)"/>'
        yield _text(x(label.x) + 5, y(label.y) + 4, label.text, "small")


def _timeline(figure: Any, left: float, top: float, width: float, height: float) -> Iterable[str]:
    rows = len(figure.layout.yaxis.tickvals)
    end = figure.layout.xaxis.range[1]
    x, y = _scale(0, end, left, left + width), _scale(-0.5, rows - 0.5, top, top + height)
    yield from _grid(axes.round_steps(0, end), [], x, y, (left, top, width, height))
    yield _text(left + width, top + height + 30, figure.layout.xaxis.title.text, "end muted")
    tall = 0.78 * height / rows
    for row, worker in zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True):
        yield _text(left - 8, y(row) + 4, worker, "end")
    bars = [trace for trace in figure.data if trace.type == "bar"]
    for place, trace in enumerate(bars):
        for start, lasts, row in zip(trace.base, trace.x, trace.y, strict=True):
            box = (
                f'x="{x(start):.1f}" y="{y(row) - tall / 2:.1f}" '
                f'width="{x(start + lasts) - x(start) - 0.8:.1f}" height="{tall:.1f}"'
            )
            yield f'<rect {box} fill="{trace.marker.color}"/>'
            if trace.marker.pattern.shape:
                yield f'<rect {box} fill="url(#hatch)"/>'
        at = left + 330 + 110 * place
        yield f'<rect x="{at}" y="{top - 22}" width="11" height="11" fill="{trace.marker.color}"/>'
        yield _text(at + 17, top - 12, trace.name)


def _grid(
    xs: list[float], ys: list[float], x: Scale, y: Scale, box: tuple[float, float, float, float]
) -> Iterable[str]:
    left, top, width, height = box
    for tick in xs:
        yield _line(x(tick), top, x(tick), top + height, "var(--grid)")
        yield _text(x(tick), top + height + 16, formatting.number(tick), "middle small muted")
    for tick in ys:
        yield _line(left, y(tick), left + width, y(tick), "var(--grid)")
        yield _text(left - 6, y(tick) + 4, formatting.number(tick), "end small muted")


def _scale(low: float, high: float, start: float, stop: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (stop - start)


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class={quoteattr(style)}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}"/>'


def _path(points: list[tuple[float, float]], colour: str, width: float) -> str:
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="on" d="M{steps}" stroke="{colour}" stroke-width="{width:g}"/>'


def _dot(x: float, y: float, radius: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    target.write_text(picture(), encoding="utf-8")
    print(f"wrote {target}", file=sys.stderr)
