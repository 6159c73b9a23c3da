"""JSON from a file or a caller, checked field by field; what does not fit is told by its place in the data."""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

# Takes a value and its place in the data, such as `trials[3].score`; returns what it stands for, or raises ValueError.
Kind = Callable[[Any, str], Any]

# The year 5138. Beyond such times `datetime` gives up.
_LAST_SECOND = 1e11
_SHOWN = 60


def check(data: object, kinds: Mapping[str, Kind], place: str) -> dict[str, Any]:
    """An object with exactly these fields.

    Args:
      data: what was read.
      kinds: what each field must be, by its name.
      place: of the object in the data, empty for the whole.

    Returns:
      What the fields stand for.

    Raises:
      ValueError: the message names the place of what does not fit.
    """
    values = mapping(data, place or "the whole")
    prefix = f"{place}." if place else ""
    for name in [*kinds, *values]:
        if name not in values or name not in kinds:
            raise ValueError(f"{prefix}{name} is {'missing' if name in kinds else 'not known'}")
    return {name: kind(values[name], f"{prefix}{name}") for name, kind in kinds.items()}


def optional(kind: Kind) -> Kind:
    """The same, or nothing (null)."""
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
    """A text. What is no Unicode in it, such as a file's name in a traceback may have, becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    raise _unfit(value, place, "a text")


def number(value: Any, place: str) -> float:
    """A number, be it finite or not."""
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
    """A number, a text, true or false."""
    if isinstance(value, str):
        return text(value, place)
    if isinstance(value, (bool, int, float)) and not _beyond_floats(value):
        return value
    raise _unfit(value, place, "a number, a text, true or false")


def array(value: Any, place: str, length: int | None = None) -> list[Any]:
    """A list, with so many values if `length` is given."""
    if isinstance(value, list) and length in (None, len(value)):
        return value
    raise _unfit(value, place, "a list" if length is None else f"a list of {length} values")


def mapping(value: Any, place: str) -> dict[str, Any]:
    """An object: values by their names."""
    if isinstance(value, dict):
        return value
    raise _unfit(value, place, "an object")


def _beyond_floats(value: float) -> bool:
    """Whether it is a whole number so large that no chart and no mean can hold it."""
    return isinstance(value, int) and abs(value) > sys.float_info.max


def shown(value: object) -> str:
    """A value for people, who need no more than its beginning."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"{type(value).__name__} in {type(value).__name__}, nested too deeply to be shown"
    except Exception as error:
        # An object of somebody's own.
        text = f"{type(value).__name__}, which cannot be shown ({type(error).__name__})"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _unfit(value: object, place: str, wanted: str) -> ValueError:
    return ValueError(f"{place} is {shown(value)}, not {wanted}")
