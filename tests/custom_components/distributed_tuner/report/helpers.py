"""Small records to make reports from."""

from __future__ import annotations

from collections.abc import Mapping

from custom_components.distributed_tuner.record.record import (
    Direction,
    HyperparameterValue,
    Outcome,
    SearchRecord,
    Stay,
    TrialRecord,
    TrialStatus,
)

STARTED = 1_700_000_000.0


def stay(start: float, end: float | None, outcome: Outcome = Outcome.COMPLETED, worker: str = "w-0") -> Stay:
    """A stay whose times are seconds since the start of the search."""
    return Stay(worker, STARTED + start, None if end is None else STARTED + end, outcome)


def completed(
    trial_id: str,
    score: float,
    hyperparameters: Mapping[str, HyperparameterValue] | None = None,
    *stays: Stay,
) -> TrialRecord:
    """A completed trial; without stays it had one of ten seconds."""
    values = {"units": 32} if hyperparameters is None else hyperparameters
    return TrialRecord(
        trial_id, TrialStatus.COMPLETED, values, score, best_step=2, epochs=3, stays=stays or (stay(0, 10),)
    )


def failed(trial_id: str, message: str | None, status: TrialStatus = TrialStatus.FAILED) -> TrialRecord:
    """A trial that ended without a score."""
    return TrialRecord(trial_id, status, {"units": 1}, message=message, stays=(stay(0, 4, Outcome.FAILED),))


def search(
    *trials: TrialRecord,
    direction: Direction = Direction.MIN,
    max_trials: int | None = None,
    ended: float | None = 100.0,
    objective: str = "val_loss",
) -> SearchRecord:
    """A search that lasted 100 seconds, or goes on where `ended` is None."""
    return SearchRecord(
        name="bikes",
        objective=objective,
        direction=direction,
        trials=trials,
        max_trials=max_trials,
        started=STARTED,
        ended=None if ended is None else STARTED + ended,
    )
