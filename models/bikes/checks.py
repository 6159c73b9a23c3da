"""What is wrong between the columns of a trip, each of which may look right by itself. Loads nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from models.bikes import features

_ENOUGH: Final = 30
"""Fewer rows than these tell nothing."""

_SHARE: Final = 0.9
"""Of the rows in which the weekday must be that of the start. A start shortly before midnight may be off by a day: a
tf.Example holds it to 128 seconds."""

_NAMES: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


def relations(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Looks at a sample of a split.

    Args:
      rows: values by column, None where one is missing.

    Returns:
      By column, what is likely wrong with it. Empty if nothing is.
    """
    known = [
        (int(day), _weekday(float(start)))
        for row in rows
        if (day := row.get(features.DAY_OF_WEEK)) is not None and (start := row.get(features.TIMESTAMP)) is not None
    ]
    if len(known) < _ENOUGH:
        return {}
    shifts = Counter((day - weekday) % 7 for day, weekday in known)
    shift, count = shifts.most_common(1)[0]
    if count < _SHARE * len(known):
        told = (
            f"it is not the weekday of '{features.TIMESTAMP}' in {1 - shifts[0] / len(known):.0%} of the rows: one of "
            "them is likely in another time zone; both are to be the clock on the wall at the start."
        )
    elif shift:
        first = min(1, *(day for day, _ in known))
        told = (
            f"by '{features.TIMESTAMP}' the days are likely counted from {_NAMES[(first - shift - 1) % 7]} = {first}; "
            "count from Sunday = 1."
        )
    else:
        return {}
    return {features.DAY_OF_WEEK: told}


def _weekday(seconds: float) -> int:
    """1 for a Sunday, of a time in seconds since 1970, whose first day was a Thursday."""
    return (int(seconds // 86_400) + 4) % 7 + 1
