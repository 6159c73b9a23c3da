"""Messages: dataclasses whose annotations say what each field must be, with their conversion to JSON and back.

A field's type is its check: `Name` and the other kinds here carry the function that parses them, and `X | None` may be
null or left out. There is no second table to keep in sync.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar

from custom_components.distributed_tuner.errors import printable, storable
from custom_components.distributed_tuner.record import fields
from custom_components.distributed_tuner.record.fields import Kind

_LONGEST_NAME = 1_000
# More epochs, steps or trials than any search has; beyond it a float would no longer hold a count exactly.
_MOST = 2**53


class InvalidMessage(ValueError):
    """A message is not what its method takes; the text names the place of the error."""


@dataclasses.dataclass(frozen=True)
class Message:
    """The base of every message: a frozen dataclass of annotated fields."""


Answer = TypeVar("Answer", bound=Message)
AnyMessage = TypeVar("AnyMessage", bound=Message)


class Request(Message, Generic[Answer]):
    """A request to a chief, with the type of its answer. The class's name is the name of the method."""

    @classmethod
    def method(cls) -> str:
        """The name of the gRPC method."""
        return cls.__name__

    @classmethod
    @functools.cache
    def answered_by(cls) -> type[Answer]:
        """The type of the answer."""
        (answer,) = typing.get_args(cls.__orig_bases__[0])  # type: ignore[attr-defined]
        return typing.cast("type[Answer]", answer)


def parse(kind: type[AnyMessage], data: Mapping[str, Any]) -> AnyMessage:
    """Parses a message.

    Args:
      kind: the message's class.
      data: a JSON object.

    Returns:
      The message.

    Raises:
      InvalidMessage: the object is not such a message.
    """
    of: Any = kind
    known, required = _fields(of)
    try:
        for name in data:
            if name not in known:
                raise ValueError(f"{printable(name)[:_LONGEST_NAME]} is not known")
        for name in required:
            if name not in data:
                raise ValueError(f"{name} is missing")
        values = {name: known[name](value, name) for name, value in data.items()}
    except ValueError as error:
        raise InvalidMessage(f"{kind.__name__}: {error}") from error
    return kind(**values)


def to_json(message: Message) -> dict[str, Any]:
    """The message as a JSON object; fields that are None are left out, which means the same."""
    return {name: _plain(value) for name, value in vars(message).items() if value is not None}


def reports(value: Any, place: str) -> list[tuple[int, dict[str, float]]]:
    """Parses metrics by step: [[step, {name: number}]].

    Args:
      value: what to parse.
      place: where it is in the message.

    Returns:
      (step, metrics) pairs.

    Raises:
      ValueError: the value is not of this form; the message names the place of the error.
    """
    return [
        tuple(pair) if _is_plain(pair) else _report(pair, f"{place}[{index}]")
        for index, pair in enumerate(fields.array(value, place))
    ]


def _name(value: Any, place: str) -> str:
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


def _names(value: Any, place: str) -> list[str]:
    return [_name(item, f"{place}[{index}]") for index, item in enumerate(fields.array(value, place))]


def _objects(value: Any, place: str) -> list[dict[str, Any]]:
    return [fields.mapping(item, f"{place}[{index}]") for index, item in enumerate(fields.array(value, place))]


def _revision(value: Any, place: str) -> tuple[str, int]:
    incarnation, number = fields.array(value, place, 2)
    return _process(incarnation, f"{place}[0]"), fields.whole(number, f"{place}[1]")


# An id: a non-empty string.
Name = Annotated[str, _name]
# A process's own id, empty where there is none; see `Study.ask`.
Process = Annotated[str, _process]
Words = Annotated[str, _words]
Flag = Annotated[bool, _flag]
Count = Annotated[int, _count]
Seconds = Annotated[float, fields.time]
Names = Annotated[Sequence[str], _names]
Reports = Annotated[Sequence[tuple[int, Mapping[str, float]]], reports]
# A chief's incarnation, and the number of a change in its search.
Revision = Annotated[tuple[str, int], _revision]
# An object of the user's or keras-tuner's, passed through unchecked.
Object = Annotated[dict[str, Any], fields.mapping]
Objects = Annotated[Sequence[dict[str, Any]], _objects]


@functools.cache
def _fields(message: Any) -> tuple[dict[str, Kind], tuple[str, ...]]:
    """The parser of each field of this class, and the names of the required fields."""
    hints = typing.get_type_hints(message, include_extras=True)
    found = dataclasses.fields(message)
    kinds = {field.name: _kind(hints[field.name]) for field in found}
    return kinds, tuple(field.name for field in found if field.default is dataclasses.MISSING)


def _kind(hint: Any) -> Kind:
    """The parser of a field of this type.

    Raises:
      TypeError: there is none: the type is none of the kinds here.
    """
    if typing.get_origin(hint) is Annotated:
        return typing.cast(Kind, hint.__metadata__[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and typing.get_args(hint)[1:] == (type(None),):
        return fields.optional(_kind(typing.get_args(hint)[0]))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return fields.one_of(hint)
    raise TypeError(f"no message has a field of type {hint!r}")


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


def _is_plain(pair: Any) -> bool:
    """Whether this is certainly a valid report, as nearly all are; the full check takes ten times as long."""
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
