"""The protocol between a search's processes and its chief: each call and each answer, field by field.

A request is parsed completely on arrival, before anything is changed or stored, by the annotations of its class: both
sides use these classes, and there is no other list of fields. The class's name is the gRPC method's; `protocol` has the
service's name, sizes and the bearer token. Any call can safely be retried. Times are seconds.

A request that changes something identifies its sender: `worker` is the worker's id, `process` distinguishes its process
from one that has replaced it, and the trial is the one that the sender believes it holds. Requests from a process that
was replaced, or no longer holds that trial, have no effect; only a trial's successful result counts from any sender,
once. Anyone with the search's token may read (`Space`, `Best`, `Status`) and may `Stop` the search.
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
    """The request was carried out; there is no other answer."""


class Next(enum.Enum):
    """What a worker does now.

    Attributes:
      TRIAL: run the trial.
      WAIT: ask again.
      OVER: end; nothing is left to do.
      REPLACED: end; another process has replaced this one.
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
      trial: keras-tuner's state of the trial, if the answer is TRIAL.
      attempt: how many times the trial was retried from scratch before.
      search: the search's unique id, which distinguishes its checkpoints from another search's in the same directory.
      reason: why the search is over, if it was stopped before its last trial.
    """

    answer: Next
    trial: Object | None = None
    attempt: Count | None = None
    search: Words | None = None
    reason: Words | None = None


@dataclasses.dataclass(frozen=True)
class Suggest(Request[Turn]):
    """A worker's process asks for a trial, and waits for one for at most `wait_seconds`."""

    worker: Name
    process: Process = ""
    wait_seconds: Seconds = protocol.LONG_POLL_SECONDS


@dataclasses.dataclass(frozen=True)
class Ended(Message):
    """The chief has stored how a trial ended.

    Attributes:
      accepted: whether the result counts, see `Study.begin_finish`.
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
      process: the worker's process.
      retry: whether one that did not succeed may be retried.
      dropped: whether its tuner deliberately ended it without a score.
      reports: its metrics by step, in order.
      message: why it did not succeed.
      hyperparameters: `HyperParameters.get_config()` as the trial left it, None if that is unusable.
      epochs: how many it finished, None if unknown.
      attempt: which attempt at the trial it was, None if unknown.
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
    """What a worker does with the trial that it reported, and why."""

    directive: Directive
    reason: Words = ""


@dataclasses.dataclass(frozen=True)
class Heartbeat(Request[Orders]):
    """A worker's process is alive and holds this trial; `epochs` of it are finished, None before the first."""

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
    """The trial that the lost worker held, which goes to another one; None if it held none."""

    trial_id: Name | None = None


@dataclasses.dataclass(frozen=True)
class Gone(Request[Lost]):
    """The run reports that a worker's process ended; without `fault`, its machine was preempted or evicted."""

    worker: Name
    reason: Words
    process: Process = ""
    fault: Flag = True


@dataclasses.dataclass(frozen=True)
class Renew(Request[Done]):
    """A worker's process, which holds no trial, is about to exit and be replaced by a new one."""

    worker: Name
    process: Process = ""


@dataclasses.dataclass(frozen=True)
class Fail(Request[Done]):
    """An error outside a trial: counted if the worker may start `again`, otherwise it ends the search.

    Sent by a worker's process, or by the run for a worker that could not.
    """

    worker: Name
    message: Words
    traceback: Words = ""
    again: Flag = False
    process: Process = ""


@dataclasses.dataclass(frozen=True)
class Stop(Request[Done]):
    """Somebody asks for the search to end with the results so far."""

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
    """A worker discovered hyperparameters that the search may not know, as `HyperParameters.get_config()`.

    If a trial is given, they were discovered in it, and the worker has to hold it.
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
    """Somebody asks for the `count` best trials, or for those with these ids."""

    count: Count | None = None
    ids: Names | None = None


@dataclasses.dataclass(frozen=True)
class Search(Message):
    """A search as data.

    Attributes:
      revision: this answer's revision, to ask for later changes with.
      whole: whether the record has all trials, rather than those that changed since the revision in the request.
      over: whether nothing is left to do.
      stop_reason: why it was stopped before the oracle had no more trials, if it was.
      workers: the workers heard from within the last lease duration.
      renewing: the workers whose process exited to be replaced by a new one, which has not been heard from yet.
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
    """Somebody asks for the search as data, or for what changed since a revision."""

    revision: Revision | None = None
