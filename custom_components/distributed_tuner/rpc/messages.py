"""The messages that a chief takes: the fields of each, and what they must be.

A message is checked whole where it comes in, before anything is changed or stored; see `chief_service` for who sends it
and what it is answered. Times are seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from custom_components.distributed_tuner.errors import printable, storable
from custom_components.distributed_tuner.record import fields
from custom_components.distributed_tuner.record.fields import Kind
from custom_components.distributed_tuner.rpc import protocol


class InvalidMessage(ValueError):
    """A message is not what its method takes; the text names the place of what does not fit."""


@dataclasses.dataclass(frozen=True)
class Suggest:
    """A worker's process wants a trial, and waits for one for so long."""

    worker: str
    process: str = ""
    wait_seconds: float = protocol.LONG_POLL_SECONDS


@dataclasses.dataclass(frozen=True)
class Finish:
    """A trial ended.

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

    worker: str
    trial_id: str
    succeeded: bool
    process: str = ""
    retry: bool = True
    dropped: bool = False
    reports: Sequence[tuple[int, Mapping[str, float]]] = ()
    message: str | None = None
    hyperparameters: dict[str, Any] | None = None
    epochs: int | None = None
    attempt: int | None = None
    cut: str | None = None
    next: bool = False


@dataclasses.dataclass(frozen=True)
class Heartbeat:
    """A worker's process lives, with this trial, of which so many epochs are finished; None before the first."""

    worker: str
    trial_id: str | None = None
    epochs: int | None = None
    process: str = ""


@dataclasses.dataclass(frozen=True)
class Release:
    """A worker's process gives its trial back."""

    worker: str
    trial_id: str
    process: str = ""


@dataclasses.dataclass(frozen=True)
class Gone:
    """The cluster saw a worker's process end; without `fault` its machine was taken away."""

    worker: str
    reason: str
    process: str = ""
    fault: bool = True


@dataclasses.dataclass(frozen=True)
class Renew:
    """A worker's process is about to give way to a fresh one, and holds no trial."""

    worker: str
    process: str = ""


@dataclasses.dataclass(frozen=True)
class Fail:
    """A worker's process met an error outside of a trial: counted where it may start `again`, else the search's end."""

    worker: str
    message: str
    traceback: str = ""
    again: bool = False
    process: str = ""


@dataclasses.dataclass(frozen=True)
class Stop:
    """Somebody wants the search to end with what there is."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Space:
    """Somebody asks for the search space."""


@dataclasses.dataclass(frozen=True)
class UpdateSpace:
    """A worker met hyperparameters that the search may not know, as `HyperParameters.get_config()`."""

    hyperparameters: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Best:
    """Somebody asks for the best so many trials, or for those of these ids."""

    count: int | None = None
    ids: Sequence[str] | None = None


@dataclasses.dataclass(frozen=True)
class Status:
    """Somebody asks for the search as data, as far as it changed since a revision: of a chief, and its number."""

    revision: tuple[str, int] | None = None


Message = TypeVar("Message")

_LONGEST_NAME = 1_000
# More epochs, steps or trials than any search has; what counts must not become a float on its way.
_MOST = 2**53


def parse(kind: type[Message], data: Mapping[str, Any]) -> Message:
    """The message of this kind that `data`, a JSON object, is.

    Raises:
      InvalidMessage: it is none; nothing else is wrong then but the message.
    """
    known = _KINDS[kind]
    try:
        for name in data:
            if name not in known:
                raise ValueError(f"{printable(name)[:_LONGEST_NAME]} is not known")
        for name in _REQUIRED[kind]:
            if name not in data:
                raise ValueError(f"{name} is missing")
        values = {name: known[name](value, name) for name, value in data.items()}
    except ValueError as error:
        raise InvalidMessage(f"{kind.__name__}: {error}") from error
    return kind(**values)


def reports(value: Any, place: str) -> list[tuple[int, dict[str, float]]]:
    """Metrics by step: [[step, {name: number}]].

    Raises:
      ValueError: the value is nothing of the kind; the message names the place in it.
    """
    return [
        tuple(pair) if _is_plain(pair) else _report(pair, f"{place}[{index}]")
        for index, pair in enumerate(fields.array(value, place))
    ]


def _is_plain(pair: Any) -> bool:
    """Whether this is surely a report, as nearly all are; to know the place of each number takes ten times as long."""
    return (
        type(pair) is list
        and len(pair) == 2
        and type(pair[0]) is int
        and 0 <= pair[0] <= _MOST
        and type(pair[1]) is dict
        and all(type(number) is float for number in pair[1].values())
    )


def _report(pair: Any, place: str) -> tuple[int, dict[str, float]]:
    step, metrics = fields.array(pair, place, 2)
    return _count(step, f"{place}[0]"), _metrics(metrics, f"{place}[1]")


def _metrics(value: Any, place: str) -> dict[str, float]:
    return {name: fields.number(number, f"{place}.{name}") for name, number in fields.mapping(value, place).items()}


def _name(value: Any, place: str) -> str:
    """An id: not empty, of one piece, as it is."""
    if _process(value, place):
        return str(value)
    raise ValueError(f"{place} is empty")


def _process(value: Any, place: str) -> str:
    text = fields.text(value, place)
    if len(text) > _LONGEST_NAME or text != value:
        raise ValueError(f"{place} is {text[:60]!r}…, not a name of at most {_LONGEST_NAME} characters of Unicode")
    return text


def _words(value: Any, place: str) -> str:
    return storable(fields.text(value, place))


def _flag(value: Any, place: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"{place} is {type(value).__name__}, not true or false")


def _count(value: Any, place: str) -> int:
    number = fields.whole(value, place)
    if 0 <= number <= _MOST:
        return number
    raise ValueError(f"{place} is not a whole number from 0 to {_MOST}")


def _ids(value: Any, place: str) -> list[str]:
    return [_name(item, f"{place}[{index}]") for index, item in enumerate(fields.array(value, place))]


def _revision(value: Any, place: str) -> tuple[str, int]:
    incarnation, number = fields.array(value, place, 2)
    return _process(incarnation, f"{place}[0]"), fields.whole(number, f"{place}[1]")


_OPTIONAL_COUNT = fields.optional(_count)
_OPTIONAL_WORDS = fields.optional(_words)
_WHO: dict[str, Kind] = {"worker": _name, "process": _process}

_KINDS: dict[type, dict[str, Kind]] = {
    Suggest: {**_WHO, "wait_seconds": fields.time},
    Finish: {
        **_WHO,
        "trial_id": _name,
        "succeeded": _flag,
        "retry": _flag,
        "dropped": _flag,
        "reports": reports,
        "message": _OPTIONAL_WORDS,
        "hyperparameters": fields.optional(fields.mapping),
        "epochs": _OPTIONAL_COUNT,
        "attempt": _OPTIONAL_COUNT,
        "cut": _OPTIONAL_WORDS,
        "next": _flag,
    },
    Heartbeat: {**_WHO, "trial_id": fields.optional(_name), "epochs": _OPTIONAL_COUNT},
    Release: {**_WHO, "trial_id": _name},
    Gone: {**_WHO, "reason": _words, "fault": _flag},
    Renew: _WHO,
    Fail: {**_WHO, "message": _words, "traceback": _words, "again": _flag},
    Stop: {"reason": _words},
    Space: {},
    UpdateSpace: {"hyperparameters": fields.mapping},
    Best: {"count": _OPTIONAL_COUNT, "ids": fields.optional(_ids)},
    Status: {"revision": fields.optional(_revision)},
}

_REQUIRED = {
    kind: tuple(field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING)
    for kind in _KINDS
}
