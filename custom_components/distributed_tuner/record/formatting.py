"""Numbers, times and values as people read them."""

from __future__ import annotations

import datetime
import math
import re

from custom_components.distributed_tuner.record.record import HyperparameterValue

ABSENT = "–"  # noqa: RUF001, an en dash stands for "no value"

_DIGITS = re.compile(r"(\d+)")


def duration(seconds: float) -> str:
    """A length of time with the two units that matter: 0.4 s, 42 s, 3 min 05 s, 2 h 04 min, 3 d 04 h."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02} h"


def number(value: float) -> str:
    """A number to five significant digits, without an exponent where that stays readable."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if 1e5 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.5g}"


def score(value: float | None) -> str:
    """A score to five significant digits, zeros kept so that scores line up; a dash if there is none."""
    if value is None:
        return ABSENT
    return f"{value:#.5g}" if 1e-4 <= abs(value) < 1e4 else number(value)


def hyperparameter(value: HyperparameterValue | None) -> str:
    """A hyperparameter's value, or a dash if it is not part of the configuration."""
    if value is None:
        return ABSENT
    return number(value) if isinstance(value, float) else str(value)


def visible(text: str) -> str:
    """The text with invisible or unencodable characters escaped, such as control characters and direction marks."""
    return "".join(char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in text)


def shorten(text: str, length: int) -> str:
    """`text` cut to at most `length` characters, the last of which then is an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def moment(seconds: float) -> str:
    """A time in seconds since the epoch as date and time in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts worker-2 before worker-10."""
    parts = _DIGITS.split(text)
    return tuple((1, int(part), "") if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def plural(count: int, noun: str) -> str:
    """A count with its noun: 1 trial, 2 trials, 2,000 trials."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
