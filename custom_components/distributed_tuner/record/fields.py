"""Checks JSON from a file or a caller field by field; errors name the place in the data."""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

# Takes a value and its place in the data, such as `trials[3].score`; returns the parsed value, or raises ValueError.
Kind = Callable[[Any, str], Any]

# The year 5138, within what `datetime` supports.
_LAST_SECOND = 1e11
_SHOWN = 60


def check(data: object, kinds: Mapping[str, Kind], place: str) -> dict[str, Any]:
    """Parses an object with exactly these fields.

    Args:
      data: what was read.
      kinds: the parser of each field, by the field's name.
      place: the object's place in the data, empty for the whole.

    Returns:
      The parsed fields.

    Raises:
      ValueError: a field is wrong, missing or unknown; the message names its place.
    """
    values = mapping(data, place or "the whole")
    prefix = f"{place}." if place else ""
    for name in [*kinds, *values]:
        if name not in values or name not in kinds:
            raise ValueError(f"{prefix}{name} is {'missing' if name in kinds else 'not known'}")
    return {name: kind(values[name], f"{prefix}{name}") for name, kind in kinds.items()}


def optional(kind: Kind) -> Kind:
    """As `kind`, but null is allowed."""
    return lambda value, place: None if value is None else kind(value, place)


def one_of(words: type[enum.Enum]) -> Kind:
    """The value of one of an enum's members."""

    def member(value: Any, place: str) -> Any:
        try:
            return words(value)
        except ValueError:
            raise _unfit(value, place, f"one of {', '.join(str(word.value) for word in words)}") from None

    return member


def text(value: Any, place: str) -> str:
    """A string. Anything in it that is not Unicode, as in a file name in a traceback, becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    raise _unfit(value, place, "a text")


def number(value: Any, place: str) -> float:
    """A number, finite or not."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not _beyond_floats(value):
        return value
    raise _unfit(value, place, "a number")


def whole(value: Any, place: str) -> int:
    """A whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and not _beyond_floats(value):
        return value
    raise _unfit(value, place, "a whole number")


def time(value: Any, place: str) -> float:
    """Seconds since the epoch."""
    seconds = number(value, place)
    if math.isfinite(seconds) and 0 <= seconds <= _LAST_SECOND:
        return seconds
    raise _unfit(value, place, "a time in seconds since the epoch")


def scalar(value: Any, place: str) -> bool | int | float | str:
    """A number, a string or a boolean."""
    if isinstance(value, str):
        return text(value, place)
    if isinstance(value, (bool, int, float)) and not _beyond_floats(value):
        return value
    raise _unfit(value, place, "a number, a text, true or false")


def array(value: Any, place: str, length: int | None = None) -> list[Any]:
    """A list, of this length if one is given."""
    if isinstance(value, list) and length in (None, len(value)):
        return value
    raise _unfit(value, place, "a list" if length is None else f"a list of {length} values")


def mapping(value: Any, place: str) -> dict[str, Any]:
    """An object: values by name."""
    if isinstance(value, dict):
        return value
    raise _unfit(value, place, "an object")


def _beyond_floats(value: float) -> bool:
    """Whether it is a whole number too large for a float, and so for any chart or mean."""
    return isinstance(value, int) and abs(value) > sys.float_info.max


def shown(value: object) -> str:
    """The beginning of a value's repr, for a message."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"{type(value).__name__} in {type(value).__name__}, nested too deeply to be shown"
    except Exception as error:
        # A user's object.
        text = f"{type(value).__name__}, which cannot be shown ({type(error).__name__})"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _unfit(value: object, place: str, wanted: str) -> ValueError:
    return ValueError(f"{place} is {shown(value)}, not {wanted}")
