"""The leaderboard for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from custom_components.distributed_tuner.record import formatting, summary
from custom_components.distributed_tuner.record.record import SearchRecord, TrialRecord

# With more hyperparameters than this a column each would be too narrow to read.
MAX_COLUMNS = 6


def leaderboard(record: SearchRecord, limit: int) -> Table:
    """The `limit` best distinct configurations as a table; durations are the time with workers.

    The caption names the objective. Values are shown as they are: markup in a hyperparameter's name or value has no
    effect. Without a completed trial the table is empty and its caption says so.
    """
    record = summary.presentable(record)
    trials = record.distinct()[:limit]
    names = summary.hyperparameter_names(trials)
    one_each = len(names) <= MAX_COLUMNS
    table = Table(header_style="bold", box=None, pad_edge=False, caption_justify="left")
    table.add_column(Text("rank"), justify="right")
    table.add_column(Text("trial"), no_wrap=True)
    table.add_column(Text("score"), justify="right", no_wrap=True)
    table.add_column(Text("epochs"), justify="right")
    table.add_column(Text("duration"), justify="right", no_wrap=True)
    for name in names if one_each else ("hyperparameters",):
        table.add_column(Text(name), overflow="fold")
    for rank, trial in enumerate(trials, start=1):
        values = [_value(trial, name) for name in names]
        if not one_each:
            pairs = [f"{name}={value}" for name, value in zip(names, values, strict=True) if value != formatting.ABSENT]
            values = [", ".join(pairs)]
        seconds = summary.busy_seconds(trial, trial.ended or record.started)
        cells = [
            str(rank),
            trial.trial_id,
            formatting.score(trial.score),
            str(trial.epochs),
            formatting.duration(seconds),
        ]
        table.add_row(*(Text(cell) for cell in [*cells, *values]), style="bold" if rank == 1 else None)
    if trials:
        of_all = formatting.plural(len(record.distinct()), "distinct configuration")
        better = f"{record.direction.better} is better"
        table.caption = Text(f"score: {record.objective}, {better}; {len(trials)} of {of_all}")
    else:
        table.caption = Text("No trial has completed.")
    return table


def _value(trial: TrialRecord, name: str) -> str:
    return formatting.hyperparameter(trial.hyperparameters.get(name))
