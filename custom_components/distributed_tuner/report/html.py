"""The search report as one HTML file that needs no network, no server and no GPU."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import markupsafe
from plotly.offline import get_plotlyjs

from custom_components.distributed_tuner.record import costs, formatting, summary
from custom_components.distributed_tuner.record.costs import GroupCost, Price
from custom_components.distributed_tuner.record.record import Direction, HyperparameterValue, SearchRecord, TrialRecord
from custom_components.distributed_tuner.report import axes, figures, hover, parallel

# Rows of the leaderboard shown before "show all" is pressed.
ROWS_AT_FIRST = 25

_PAGE = Path(__file__).parent / "page"
_MAX_MESSAGE = 20_000
_MAX_FAILURES_LISTED = 200


@dataclasses.dataclass(frozen=True)
class Tile:
    """One header figure; `note` is a smaller line below it."""

    label: str
    value: str
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of the leaderboard: what it shows, what it sorts by, and the full value where `text` is cut short."""

    text: str
    sort: str
    full: str = ""
    numeric: bool = True


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the leaderboard; `chosen` marks the best configurations, which go on to full training."""

    trial_id: str
    rank: int
    repeat: bool
    chosen: bool
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True)
class Failure:
    """Trials that ended for one reason; `message` is the full message of the first of them."""

    reason: str
    count: str
    trials: tuple[tuple[str, str, str, str], ...]
    unlisted: int
    first: str
    message: str


def render_html(
    record: SearchRecord,
    *,
    generated_at: float,
    title: str | None = None,
    top_n: int = 1,
    state: str | None = None,
    prices: Mapping[str, Price] | None = None,
) -> str:
    """Renders the report.

    Args:
      record: the search, ended or not.
      generated_at: the moment of the picture, seconds since the epoch; running trials are drawn up to it.
      title: the heading; by default made from the search's name.
      top_n: how many of the best distinct configurations to mark as chosen.
      state: the state of the search, in a word; if left out, taken from the record: whether it has ended.
      prices: of the groups of workers, by name; without prices the report shows no cost.

    Returns:
      A whole HTML document of about 5 MB, nearly all of which is plotly.js. It loads nothing from anywhere, and its
      content security policy keeps it so. Equal arguments give an equal document.
    """
    record = summary.presentable(record)
    totals = summary.summarise(record, generated_at)
    charts = {
        "curve": figures.best_so_far(record, generated_at),
        "parallel": parallel.parallel_coordinates(record),
        "timeline": figures.timeline(record, generated_at),
    }
    drawn = {name: json.loads(figure.to_json()) for name, figure in charts.items() if figure is not None}
    payload = json.dumps({"figures": drawn, "texts": hover.trial_texts(record)}, separators=(",", ":"))
    completed = record.completed()
    names = summary.hyperparameter_names(completed)
    return _template().render(
        title=title or f"Search report: {record.name}",
        record=record,
        state=state or _state(record),
        started=formatting.moment(record.started),
        generated=formatting.moment(generated_at),
        tiles=(*_tiles(record, totals), *_cost_tiles(costs.by_group(record, prices or {}, generated_at))),
        totals=totals,
        columns=("score", "epochs", "best epoch", "duration", *names),
        rows=[_row(place, names, generated_at, top_n) for place in summary.ranked(record)],
        rows_at_first=ROWS_AT_FIRST,
        top_n=top_n,
        beyond=_beyond(completed, record.direction),
        width=_parallel_width([*names, record.objective]),
        failures=[_failure(group, generated_at) for group in summary.failure_groups(record)],
        drawn=drawn,
        payload=markupsafe.Markup(_script_safe(payload)),
        style=markupsafe.Markup(stylesheet()),
        script=markupsafe.Markup((_PAGE / "report.js").read_text(encoding="utf-8")),
        plotly=markupsafe.Markup(get_plotlyjs() if drawn else ""),
    )


def stylesheet() -> str:
    """The page's CSS, which also names every colour of the charts, once for each scheme."""
    return (_PAGE / "report.css").read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plural"] = formatting.plural
    return environment.get_template("report.html.jinja")


def _script_safe(text: str) -> str:
    # Inside <script>, "</script" and "<!--" end or change the element whatever quotes are around them.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _beyond(completed: tuple[TrialRecord, ...], direction: Direction) -> int:
    """How many scores the curve and the score's axis cut off."""
    scores = [trial.score for trial in completed if trial.score is not None]
    if not scores:
        return 0
    low, high = axes.readable_bounds(scores, direction)
    return sum(not low <= score <= high for score in scores)


def _parallel_width(names: list[str]) -> int:
    """The least width in pixels at which the names of neighbouring axes keep apart, at 7.5 pixels a character."""
    lengths = [max(map(len, axes.name_lines(name))) for name in names]
    widest = max((left + right) / 2 for left, right in zip(lengths, [*lengths[1:], 0], strict=True))
    return 90 + len(names) * max(84, round(7.5 * widest) + 10)


def _state(record: SearchRecord) -> str:
    if record.ended is None:
        return "still running"
    why = record.stop_reason or record.ran_out
    return f"ended: {why}" if why else "ended"


def _tiles(record: SearchRecord, totals: summary.Summary) -> tuple[Tile, ...]:
    of_max = f" of {record.max_trials:,}" if record.max_trials is not None else ""
    best = totals.best
    interruptions = [
        formatting.plural(count, "stay") + f" {word}"
        for count, word in ((totals.lost, "lost"), (totals.released, "given back"))
        if count
    ]
    return (
        Tile("Best score", formatting.score(best.score if best else None), f"trial {best.trial_id}" if best else ""),
        Tile("Trials completed", f"{totals.completed:,}{of_max}"),
        Tile("Failed", f"{totals.failed:,}", f"{totals.stopped:,} stopped by a limit" if totals.stopped else ""),
        Tile("Running", f"{totals.running:,}", f"{totals.waiting:,} waiting for a worker" if totals.waiting else ""),
        Tile("Distinct configurations", f"{totals.distinct:,}", "with a score"),
        Tile("Workers", f"{totals.workers:,}", ", ".join(interruptions)),
        Tile("Wall time", formatting.duration(totals.wall_seconds)),
        Tile(
            "Worker time",
            formatting.duration(totals.worker_seconds),
            f"{totals.worker_seconds:,.0f} s; {totals.mean_busy_workers:.1f} workers busy on average",
        ),
    )


def _cost_tiles(groups: Sequence[GroupCost]) -> tuple[Tile, ...]:
    if not groups:
        return ()
    tiles = [Tile("Cost of worker time", costs.money(costs.total(groups)), costs.details(groups))]
    if (less := costs.saved(groups)) is not None:
        tiles.append(Tile("Saved by spot", costs.money(less), "against the same time on demand"))
    return tuple(tiles)


def _row(place: summary.Ranked, names: tuple[str, ...], now: float, top_n: int) -> Row:
    trial = place.trial
    seconds = summary.busy_seconds(trial, now)
    step = trial.best_step
    cells = (
        Cell(formatting.score(trial.score), repr(trial.score), repr(trial.score)),
        Cell(str(trial.epochs), str(trial.epochs)),
        Cell(formatting.ABSENT if step is None else str(step), "" if step is None else str(step)),
        Cell(formatting.duration(seconds), repr(seconds)),
        *(_hyperparameter_cell(trial.hyperparameters.get(name)) for name in names),
    )
    return Row(trial.trial_id, place.rank, place.repeat, place.rank <= top_n and not place.repeat, cells)


def _hyperparameter_cell(value: HyperparameterValue | None) -> Cell:
    if value is None:
        return Cell(formatting.ABSENT, "", "not part of this configuration")
    text = formatting.shorten(formatting.hyperparameter(value), 40)
    numeric = not isinstance(value, str | bool)
    sort = repr(value) if isinstance(value, float) and math.isfinite(value) else str(value)
    return Cell(text, sort, str(value) if text != str(value) else "", numeric)


def _failure(group: summary.FailureGroup, now: float) -> Failure:
    listed = group.trials[:_MAX_FAILURES_LISTED]
    first = group.trials[0]
    return Failure(
        reason=formatting.shorten(group.reason, 300),
        count=formatting.plural(len(group.trials), "trial"),
        trials=tuple(_failed_trial(trial, now) for trial in listed),
        unlisted=len(group.trials) - len(listed),
        first=first.trial_id,
        message=_middle_cut(first.message or ""),
    )


def _failed_trial(trial: TrialRecord, now: float) -> tuple[str, str, str, str]:
    configuration = ", ".join(f"{name}={formatting.hyperparameter(value)}" for name, value in trial.configuration)
    workers = ", ".join(dict.fromkeys(stay.worker for stay in trial.stays)) or formatting.ABSENT
    spent = formatting.duration(summary.busy_seconds(trial, now))
    return trial.trial_id, workers, spent, formatting.shorten(configuration, 500)


def _middle_cut(text: str) -> str:
    if len(text) <= _MAX_MESSAGE:
        return text
    half = _MAX_MESSAGE // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"
