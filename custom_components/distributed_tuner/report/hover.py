"""What hovering over a trial shows, kept once for all charts.

A point that stands for a trial carries the trial's id as customdata, and the page's script looks its text up: a trial
has a point on every axis of the parallel coordinates, and thousands of trials would repeat it too often.
"""

from __future__ import annotations

import html

from custom_components.distributed_tuner.record import formatting
from custom_components.distributed_tuner.record.record import HyperparameterValue, SearchRecord, TrialRecord

_MAX_HYPERPARAMETERS = 12


def trial_texts(record: SearchRecord) -> dict[str, str]:
    """What to show of each completed trial on hover, by trial id, as plotly's HTML."""
    return {trial.trial_id: _trial_text(record, trial) for trial in record.completed()}


def _trial_text(record: SearchRecord, trial: TrialRecord) -> str:
    lines = [
        f"<b>trial {html.escape(trial.trial_id)}</b>",
        f"{html.escape(record.objective)}: {formatting.score(trial.score)}",
        *_hyperparameter_lines(trial.configuration),
    ]
    return "<br>".join(lines)


def _hyperparameter_lines(configuration: tuple[tuple[str, HyperparameterValue], ...]) -> list[str]:
    shown = configuration[:_MAX_HYPERPARAMETERS]
    lines = [
        html.escape(f"{name}: {formatting.shorten(formatting.hyperparameter(value), 40)}") for name, value in shown
    ]
    if len(configuration) > len(shown):
        lines.append(f"and {len(configuration) - len(shown)} more")
    return lines
