"""What a study is asked and told, and what it answers."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from custom_components.distributed_tuner.record.record import HyperparameterValue


class StudyError(RuntimeError):
    """A call that the table of transitions does not allow."""


class EntriesRefused(Exception):
    """The oracle cannot take up hyperparameters that somebody met."""


@dataclasses.dataclass(frozen=True)
class Suggested:
    """The oracle has a configuration for a trial: a new one, or one that it wants run again."""

    trial_id: str
    hyperparameters: Mapping[str, HyperparameterValue]


class NoSuggestion(enum.Enum):
    """The oracle has none.

    Attributes:
      IDLE: until a running trial ends.
      NOTHING_NEW: it has tried all that it knows of; a running trial may still add to the space.
      EXHAUSTED: for good; only a trial that it wants run again is an exception.
    """

    IDLE = "idle"
    NOTHING_NEW = "nothing new"
    EXHAUSTED = "exhausted"


@dataclasses.dataclass(frozen=True)
class Aside:
    """What is to be told of an oracle's answer.

    Attributes:
      repeated: whether it suggested what had been tried before, in the place of which something else was found.
      ran_out: why it has no more trials, though it was allowed some; None if it has, or made them all.
    """

    repeated: bool = False
    ran_out: str | None = None


@dataclasses.dataclass(frozen=True)
class Grant:
    """The worker holds this trial now; `attempt` counts the times the trial was started afresh."""

    trial_id: str
    attempt: int


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who holds a trial, and in which attempt at it."""

    worker: str
    process: str
    attempt: int


class Ask(enum.Enum):
    """Other answers to a worker that asks.

    Attributes:
      SUGGEST: compute a suggestion for it.
      WAIT: there is nothing for it now.
      OVER: nothing is left to do.
      REPLACED: another process of the same worker has taken the place of the one that asks, which has to end.
    """

    SUGGEST = "suggest"
    WAIT = "wait"
    OVER = "over"
    REPLACED = "replaced"


class Directive(str, enum.Enum):
    """What a worker is told with each heartbeat: go on, end the trial at the next epoch, or drop it unfinished."""

    CONTINUE = "continue"
    FINISH = "finish"
    ABANDON = "abandon"


class Verdict(enum.Enum):
    """What became of a finished trial.

    Attributes:
      COMPLETED: it has a score.
      FAILED: it has none, and no retry is left.
      RETRY: the oracle wants it run again.
      DROPPED: its tuner ended it without a score on purpose: it counts as failed, but not as a failure in a row.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    RETRY = "retry"
    DROPPED = "dropped"


@dataclasses.dataclass(frozen=True)
class Result:
    """The oracle's verdict on a finished trial, with the score in the objective's unit."""

    verdict: Verdict
    score: float | None = None
    best_step: int | None = None
    message: str | None = None
    hyperparameters: Mapping[str, HyperparameterValue] | None = None
