"""A search as data, from which the report, the leaderboard and the choice of the top N are made.

A record is an immutable snapshot of a search. It knows nothing of keras-tuner or files.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import operator
from collections.abc import Iterator, Mapping

from custom_components.distributed_tuner.record import cause

HyperparameterValue = bool | int | float | str

# Hyperband stores its own bookkeeping among the hyperparameters under this prefix.
INTERNAL_PREFIX = "tuner/"


class TrialStatus(str, enum.Enum):
    """The state of a trial.

    RUNNING: held by a live worker. WAITING: given back or lost by a worker, waits for the next one.
    COMPLETED: has a score. FAILED: no retry is left. STOPPED: ended by a limit before it had a score.
    """

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


class Outcome(str, enum.Enum):
    """How one stay of a trial with a worker ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    LOST = "lost"  # the worker's lease expired
    RELEASED = "released"  # the worker gave the trial back, on preemption
    STOPPED = "stopped"  # a limit ended it


class Direction(str, enum.Enum):
    """Whether a smaller or a larger objective is better."""

    MIN = "min"
    MAX = "max"

    @property
    def better(self) -> str:
        """What a better objective is: lower, or higher."""
        return "lower" if self is Direction.MIN else "higher"


@dataclasses.dataclass(frozen=True)
class Stay:
    """One stay of a trial with a worker. Times are seconds since the epoch; `ended` is None while it lasts."""

    worker: str
    started: float
    ended: float | None
    outcome: Outcome


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """One trial: its configuration, its result and its stays with workers.

    `hyperparameters` holds the active values of the user's space. `score` is in the objective's unit, None without a
    result. `epochs` counts epochs finished so far. `message` is the traceback or the reason of an end without a score;
    for a completed trial, the limit that cut it short, if any.
    """

    trial_id: str
    status: TrialStatus
    hyperparameters: Mapping[str, HyperparameterValue]
    score: float | None = None
    best_step: int | None = None
    epochs: int = 0
    message: str | None = None
    stays: tuple[Stay, ...] = ()

    @property
    def values(self) -> dict[str, HyperparameterValue]:
        """The hyperparameters without the oracle's own entries, in the order of the search space."""
        return {name: value for name, value in self.hyperparameters.items() if not name.startswith(INTERNAL_PREFIX)}

    @property
    def configuration(self) -> tuple[tuple[str, HyperparameterValue], ...]:
        """The `values` as a hashable key, independent of their order."""
        return tuple(sorted(self.values.items()))

    @property
    def cause(self) -> str:
        """The message in one line, see `cause.of_message`."""
        return cause.of_message(self.message) or "no reason given"

    @property
    def ended(self) -> float | None:
        """When the last stay ended, seconds since the epoch; None while the trial is running."""
        return self.stays[-1].ended if self.stays else None


@dataclasses.dataclass(frozen=True)
class SearchRecord:
    """A search: its objective, its trials in the order of their start, and its times in seconds since the epoch.

    `stop_reason` is why it was stopped before the oracle had no more trials, `ran_out` why the oracle had none before
    reaching its limit. `notices` are sentences about what differs from the user's code, or from keras-tuner's own
    behavior.
    """

    name: str
    objective: str
    direction: Direction
    trials: tuple[TrialRecord, ...]
    max_trials: int | None
    started: float
    ended: float | None = None
    stop_reason: str | None = None
    ran_out: str | None = None
    notices: tuple[str, ...] = ()

    def updated(self, changed: SearchRecord) -> SearchRecord:
        """This record updated by a later one that holds only the trials that changed."""
        trials = {trial.trial_id: trial for trial in self.trials} | {trial.trial_id: trial for trial in changed.trials}
        return dataclasses.replace(changed, trials=tuple(trials.values()))

    def completed(self) -> tuple[TrialRecord, ...]:
        """Completed trials with a finite score, best first; ties keep the order of start."""
        scored = [
            (trial.score, trial)
            for trial in self.trials
            if trial.status is TrialStatus.COMPLETED and trial.score is not None and math.isfinite(trial.score)
        ]
        scored.sort(key=lambda pair: pair[0], reverse=self.direction is Direction.MAX)
        return tuple(trial for _, trial in scored)

    def distinct(self) -> tuple[TrialRecord, ...]:
        """As `completed`, keeping only the best trial of each configuration."""
        best: dict[tuple[tuple[str, HyperparameterValue], ...], TrialRecord] = {}
        for trial in self.completed():
            best.setdefault(trial.configuration, trial)
        return tuple(best.values())

    def failed(self) -> tuple[TrialRecord, ...]:
        """Trials that ended without a score."""
        return tuple(trial for trial in self.trials if trial.status in (TrialStatus.FAILED, TrialStatus.STOPPED))

    def cut_short(self) -> tuple[TrialRecord, ...]:
        """Trials that completed although a limit cut them short, with their best epoch until then."""
        return tuple(trial for trial in self.trials if trial.status is TrialStatus.COMPLETED and trial.message)

    def count(self, status: TrialStatus) -> int:
        """How many trials have this status."""
        return sum(trial.status is status for trial in self.trials)

    def best_so_far(self) -> Iterator[tuple[float, TrialRecord]]:
        """Yields (time the trial ended, trial) for each completed trial that beat all those that ended before it."""
        better = operator.gt if self.direction is Direction.MAX else operator.lt
        best: float | None = None
        ended = [(trial.ended, trial) for trial in self.completed() if trial.ended is not None]
        for when, trial in sorted(ended, key=lambda pair: pair[0]):
            assert trial.score is not None
            if best is None or better(trial.score, best):
                best = trial.score
                yield when, trial

    def workers(self) -> tuple[str, ...]:
        """The ids of all workers that held a trial, in order."""
        return tuple(sorted({stay.worker for trial in self.trials for stay in trial.stays}))
