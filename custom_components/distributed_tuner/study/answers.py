"""The arguments and answers of a study's methods."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from custom_components.distributed_tuner.record.record import HyperparameterValue


class StudyError(RuntimeError):
    """A call that the table of transitions forbids."""


class EntriesRefused(Exception):
    """The oracle cannot add hyperparameters that a worker discovered."""


@dataclasses.dataclass(frozen=True)
class Suggested:
    """The oracle has a configuration for a trial: a new trial, or one to retry."""

    trial_id: str
    hyperparameters: Mapping[str, HyperparameterValue]


class NoSuggestion(enum.Enum):
    """The oracle has no suggestion.

    Attributes:
      IDLE: none until a running trial ends.
      NOTHING_NEW: it has tried every configuration it knows of; a running trial may still add to the space.
      EXHAUSTED: none ever again, except for a trial that it wants retried.
    """

    IDLE = "idle"
    NOTHING_NEW = "nothing new"
    EXHAUSTED = "exhausted"


@dataclasses.dataclass(frozen=True)
class Aside:
    """Remarks on an oracle's answer, for people.

    Attributes:
      repeated: whether it suggested a configuration tried before, which was replaced by another.
      ran_out: why it has no more trials before reaching its limit; None if it has more, or reached it.
    """

    repeated: bool = False
    ran_out: str | None = None


@dataclasses.dataclass(frozen=True)
class Grant:
    """The worker now holds this trial; `attempt` counts the trial's retries from scratch."""

    trial_id: str
    attempt: int


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who holds a trial, and in which attempt at it."""

    worker: str
    process: str
    attempt: int


class Ask(enum.Enum):
    """Other answers to a worker that asks for a trial.

    Attributes:
      SUGGEST: the caller must get a suggestion from the oracle.
      WAIT: there is no trial for it now.
      OVER: the search is over.
      REPLACED: a newer process of the same worker has replaced the one that asks, which must exit.
    """

    SUGGEST = "suggest"
    WAIT = "wait"
    OVER = "over"
    REPLACED = "replaced"


class Directive(str, enum.Enum):
    """The answer to each heartbeat: continue, end the trial at the next epoch, or drop it unfinished."""

    CONTINUE = "continue"
    FINISH = "finish"
    ABANDON = "abandon"


class Verdict(enum.Enum):
    """What became of a finished trial.

    Attributes:
      COMPLETED: it has a score.
      FAILED: it has none, and no retry is left.
      RETRY: the oracle wants it run again.
      DROPPED: its tuner deliberately ended it without a score: it counts as failed, but not as a consecutive failure.
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
