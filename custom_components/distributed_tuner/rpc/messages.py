"""The protocol between a search's processes and its chief: each call and each answer, field by field.

A request is read whole where it comes in, before anything is changed or stored, by the annotations of its class: both
sides use these classes, and there is no other list of fields. The class's name is the gRPC method's; `protocol` has the
service's name, sizes and the bearer token. Any call may be repeated without harm. Times are seconds.

Who changes something says who it is: `worker` is its id, `process` tells its process from one that took its place, and
the trial is the one that it takes for its own. A process that was replaced, or holds that trial no longer, changes
nothing; only the whole result of a trial counts, once, whoever brings it. Whoever has the search's token may read,
`Space`, `Best` and `Status`, and may `Stop` the search.
"""

from __future__ import annotations

import dataclasses
import enum

from custom_components.distributed_tuner.rpc import protocol
from custom_components.distributed_tuner.rpc.schema import (
    Count,
    Flag,
    Message,
    Name,
    Names,
    Object,
    Objects,
    Process,
    Reports,
    Request,
    Revision,
    Seconds,
    Words,
)
from custom_components.distributed_tuner.study.answers import Directive


@dataclasses.dataclass(frozen=True)
class Done(Message):
    """It was heard; there is nothing to say."""


class Next(enum.Enum):
    """What a worker does now.

    Attributes:
      TRIAL: run the trial.
      WAIT: ask again.
      OVER: end; nothing is left to do.
      REPLACED: end; another process has this worker's place.
    """

    TRIAL = "trial"
    WAIT = "wait"
    OVER = "over"
    REPLACED = "replaced"


@dataclasses.dataclass(frozen=True)
class Turn(Message):
    """What a worker does now.

    Attributes:
      answer: see `Next`.
      trial: keras-tuner's state of the trial, if it is one.
      attempt: how many times that was started afresh before.
      search: the search's own name, which tells its checkpoints from those of another in the same place.
      reason: why it is over, if somebody or something ended it before its last trial.
    """

    answer: Next
    trial: Object | None = None
    attempt: Count | None = None
    search: Words | None = None
    reason: Words | None = None


@dataclasses.dataclass(frozen=True)
class Suggest(Request[Turn]):
    """A worker's process wants a trial, and waits for one for at most `wait_seconds`."""

    worker: Name
    process: Process = ""
    wait_seconds: Seconds = protocol.LONG_POLL_SECONDS


@dataclasses.dataclass(frozen=True)
class Ended(Message):
    """The chief has, and keeps, how a trial ended.

    Attributes:
      accepted: whether it counts; not, if the sender did not hold the trial any more.
      answer: what the worker does now, if it asked; the next fields are those of `Turn`.
      trial: see there.
      attempt: see there.
      search: see there.
      reason: see there.
    """

    accepted: Flag
    answer: Next | None = None
    trial: Object | None = None
    attempt: Count | None = None
    search: Words | None = None
    reason: Words | None = None


@dataclasses.dataclass(frozen=True)
class Finish(Request[Ended]):
    """A worker's trial ended.

    Attributes:
      worker: who ran it.
      trial_id: the trial.
      succeeded: whether it ran to its end; then `reports` hold the objective.
      process: of the worker.
      retry: whether one that did not succeed may be retried.
      dropped: whether its tuner ended it without a score on purpose.
      reports: its metrics by step, in order.
      message: why it did not succeed.
      hyperparameters: `HyperParameters.get_config()` as the trial left it, None where that is of no use.
      epochs: how many it finished, None if nobody counted.
      attempt: which attempt at the trial it was, None if the sender knows of none.
      cut: why it ended before its last epoch, if it did.
      next: whether the worker wants the next trial with the answer.
    """

    worker: Name
    trial_id: Name
    succeeded: Flag
    process: Process = ""
    retry: Flag = True
    dropped: Flag = False
    reports: Reports = ()
    message: Words | None = None
    hyperparameters: Object | None = None
    epochs: Count | None = None
    attempt: Count | None = None
    cut: Words | None = None
    next: Flag = False


@dataclasses.dataclass(frozen=True)
class Orders(Message):
    """What a worker does with the trial that it told of, and why."""

    directive: Directive
    reason: Words = ""


@dataclasses.dataclass(frozen=True)
class Heartbeat(Request[Orders]):
    """A worker's process lives, with this trial, of which so many epochs are finished; None before the first."""

    worker: Name
    trial_id: Name | None = None
    epochs: Count | None = None
    process: Process = ""


@dataclasses.dataclass(frozen=True)
class Release(Request[Done]):
    """A worker's process gives its trial back."""

    worker: Name
    trial_id: Name
    process: Process = ""


@dataclasses.dataclass(frozen=True)
class Lost(Message):
    """The trial that the worker held, and that goes to another one; None if it held none."""

    trial_id: Name | None = None


@dataclasses.dataclass(frozen=True)
class Gone(Request[Lost]):
    """The run's word: the cluster saw a worker's process end; without `fault` its machine was taken away."""

    worker: Name
    reason: Words
    process: Process = ""
    fault: Flag = True


@dataclasses.dataclass(frozen=True)
class Renew(Request[Done]):
    """A worker's process is about to give way to a fresh one, and holds no trial."""

    worker: Name
    process: Process = ""


@dataclasses.dataclass(frozen=True)
class Fail(Request[Done]):
    """An error outside of a trial: counted where the worker may start `again`, else the search's end.

    A worker's process sends it, or the run for a worker that could not.
    """

    worker: Name
    message: Words
    traceback: Words = ""
    again: Flag = False
    process: Process = ""


@dataclasses.dataclass(frozen=True)
class Stop(Request[Done]):
    """Somebody wants the search to end with what there is."""

    reason: Words


@dataclasses.dataclass(frozen=True)
class Entries(Message):
    """The search space: `HyperParameters.get_config()`."""

    hyperparameters: Object


@dataclasses.dataclass(frozen=True)
class Space(Request[Entries]):
    """Somebody asks for the search space."""


@dataclasses.dataclass(frozen=True)
class UpdateSpace(Request[Done]):
    """A worker met hyperparameters that the search may not know, as `HyperParameters.get_config()`.

    With a trial it met them there, and has to hold it.
    """

    hyperparameters: Object
    worker: Name | None = None
    process: Process = ""
    trial_id: Name | None = None


@dataclasses.dataclass(frozen=True)
class BestTrials(Message):
    """The best trials as keras-tuner stores them, best first: as many as one message holds, and the ids of the rest."""

    trials: Objects
    left: Names = ()


@dataclasses.dataclass(frozen=True)
class Best(Request[BestTrials]):
    """Somebody asks for the best so many trials, or for those of these ids."""

    count: Count | None = None
    ids: Names | None = None


@dataclasses.dataclass(frozen=True)
class Search(Message):
    """A search as data.

    Attributes:
      revision: of this answer, to ask for later changes with.
      whole: whether the record has all trials, instead of those that changed since the revision asked with.
      over: whether nothing is left to do.
      stop_reason: why it was stopped before the oracle had no more trials, if it was.
      workers: who was heard of within the last lease.
      renewing: whose process gave way to a fresh one that has said nothing yet.
      record: see `record_json`; None if nothing changed.
    """

    revision: Revision
    whole: Flag
    over: Flag
    stop_reason: Words | None = None
    workers: Names = ()
    renewing: Names = ()
    record: Object | None = None


@dataclasses.dataclass(frozen=True)
class Status(Request[Search]):
    """Somebody asks for the search as data, as far as it changed since a revision."""

    revision: Revision | None = None
