"""A trial while its search goes on: what the study keeps of it, and how that is stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner.record.record import (
    HyperparameterValue,
    Outcome,
    Stay,
    TrialRecord,
    TrialStatus,
)


@dataclasses.dataclass
class Trial:
    """A trial while the search goes on.

    `number` counts the trials begun before it; `progressed` is when its last epoch ended or its stay began, seconds;
    `furthest` is the most epochs of this attempt that any worker finished; `fruitless_losses` and `fruitless_releases`
    count the stays that were lost or given back since `furthest` last grew.
    """

    trial_id: str
    status: TrialStatus
    hyperparameters: dict[str, HyperparameterValue]
    number: int
    score: float | None = None
    best_step: int | None = None
    epochs: int = 0
    furthest: int = 0
    message: str | None = None
    attempt: int = 0
    fruitless_losses: int = 0
    fruitless_releases: int = 0
    process: str = ""
    progressed: float = 0.0
    stays: list[Stay] = dataclasses.field(default_factory=list)

    def to_record(self) -> TrialRecord:
        """The trial as data."""
        return TrialRecord(
            trial_id=self.trial_id,
            status=self.status,
            hyperparameters=dict(self.hyperparameters),
            score=self.score,
            best_step=self.best_step,
            epochs=self.epochs,
            message=self.message,
            stays=tuple(self.stays),
        )


@dataclasses.dataclass
class Lease:
    """A trial's stay with a live worker. Times are seconds.

    `limit` is why the worker was told to end the trial at its next epoch, empty if it was not. `heard` tells whether
    this chief has heard from the worker: an earlier chief's epoch count may be stale. `fruitful` tells whether the
    trial got further under this lease than under any before. `inherited` tells whether the lease is from an earlier
    attempt at the search and its worker has not been heard from in this one: usually it ended with that attempt.
    `alive` is the worker's last sign of life, which is also when a lost stay ended, however late the loss is noticed.
    """

    trial_id: str
    worker: str
    process: str
    began: float
    expires: float
    alive: float
    limit: str = ""
    heard: bool = True
    fruitful: bool = False
    inherited: bool = False


def to_state(trial: Trial) -> dict[str, Any]:
    """A trial as JSON-able data, without its id and number."""
    return {
        "status": trial.status.value,
        "hyperparameters": dict(trial.hyperparameters),
        "score": trial.score,
        "best_step": trial.best_step,
        "epochs": trial.epochs,
        "furthest": trial.furthest,
        "message": trial.message,
        "attempt": trial.attempt,
        "fruitless_losses": trial.fruitless_losses,
        "fruitless_releases": trial.fruitless_releases,
        "process": trial.process,
        "progressed": trial.progressed,
        "stays": [[stay.worker, stay.started, stay.ended, stay.outcome.value] for stay in trial.stays],
    }


def from_state(trial_id: str, state: Mapping[str, Any], number: int) -> Trial:
    """Undoes `to_state`."""
    values = dict(state)
    values["status"] = TrialStatus(values["status"])
    values["stays"] = [
        Stay(worker, started, ended, Outcome(outcome)) for worker, started, ended, outcome in values["stays"]
    ]
    return Trial(trial_id=trial_id, number=number, **values)
