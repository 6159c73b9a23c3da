"""What is wrong with the columns of trips that may each look right by themselves. Loads nothing else.

A file that was joined of two may have a wrong unit in some of its rows only, and then no mean or median tells. So most
rules look at rows, and speak where more than a tenth of them are wrong. The limits are facts about London's hire scheme
and its weather since 2010, with a wide margin; if true data pass one, change it here. What a single column's statistics
tell stands in schema/validations.pbtxt.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from models.bikes import features

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Told: TypeAlias = Mapping[str, str]

_ENOUGH: Final = 30
"""Fewer rows than these tell nothing."""

_RARE: Final = 0.1
"""The share of rows that may be wrong. A start shortly before midnight may be off by a day: a tf.Example holds it to
128 seconds."""

_NAMES: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_TIMES: Final = (1_262_304_000, 4_102_444_800)
"""2010 and 2100, in seconds since 1970."""

_TIME_UNITS: Final = {
    "nanoseconds": 1e-9, "microseconds": 1e-6, "milliseconds": 1e-3, "minutes": 60, "hours": 3_600, "days": 86_400,
}  # fmt: skip
"""Their length in seconds."""

_COLDEST: Final = {"max": 29.0, "temp": 24.0, "min": 15.0, "dewp": 14.0}
"""Degrees Fahrenheit that hardly any day stayed below. In Celsius, most days do."""

_HOTTEST: Final = 120.0
"""Degrees Fahrenheit."""

_KELVIN: Final = (240.0, 325.0)
_UNKNOWN_DEGREES: Final = 9_000.0
"""Whatever is above is GSOD's mark of a missing value, 9999.9."""

_WET: Final = 0.4
"""Inches; on half of the days with rain there is far less."""
_WETTEST: Final = 4.0
"""Inches in a day. More is told by validations.pbtxt."""
_MIXED: Final = (20.0, 32.0)
"""Millimetres of an inch, where both are rounded."""
_WET_DAYS: Final = 6
"""Fewer days with rain tell nothing."""

_POINT: Final = r"POINT\((-?0(?:\.[0-9]+)?) (51(?:\.[0-9]+)?)\)"
_CROSS: Final = re.compile(_POINT + _POINT)
"""In London."""

_DEGREE: Final = 111_195.0
"""Metres of a degree of latitude; one of longitude is 0.62 of it in London."""
_GRID: Final = 1_500.0
"""Metres that the distance between two points on the grid may differ from that between their stations."""
_SHORTEST: Final = 100.0
"""Metres. A column with no larger distance is told by validations.pbtxt."""
_DISTANCE_UNITS: Final = {"feet": 1 / 0.3048, "kilometres": 1e-3, "miles": 1 / 1_609.344, "decimetres": 10.0}
"""How many of them are a metre."""

_AWAY: Final = 1_000.0
"""Metres; shorter trips may be strolls."""
_SPEEDS: Final = (0.4, 8.0)
"""Metres a second, as the crow flies."""
_MANY: Final = 0.25
"""The share of trips that may be out of them: some bicycles are kept for hours."""
_USUAL_SPEED: Final = 2.7
_DURATIONS: Final = (120.0, 28_800.0)
"""Seconds. A median out of this range is told by validations.pbtxt."""
_DURATION_UNITS: Final = {"minutes": 60.0, "tenths of a second": 0.1, "milliseconds": 1e-3}
"""Their length in seconds."""


def relations(rows: Rows) -> dict[str, str]:
    """Looks at a sample of a split.

    Args:
      rows: values by column, None where one is missing. A value of a wrong type, which the schema finds, counts as
        missing.

    Returns:
      By column, what is likely wrong with it. Empty if nothing is.
    """
    told: dict[str, str] = {}
    for rule in _RULES:
        told |= rule(rows, told)
    return told


def _time(rows: Rows, told: Told) -> Told:
    outside = [seconds for (seconds,) in _known(rows, features.TIMESTAMP) if not _is_time(seconds)]
    share = _often([not _is_time(seconds) for (seconds,) in _known(rows, features.TIMESTAMP)])
    if share:
        typical = statistics.median(outside)
        for unit, length in _TIME_UNITS.items():
            if _is_time(typical * length):
                return {
                    features.TIMESTAMP: f"{_in_rows(share)} the times are likely in {unit} since 1970; write seconds."
                }
    return {}


def _weekday(rows: Rows, told: Told) -> Told:
    known = [
        (int(day), _weekday_of(start))
        for day, start in _known(rows, features.DAY_OF_WEEK, features.TIMESTAMP)
        if _is_time(start)
    ]
    if features.TIMESTAMP in told or len(known) < _ENOUGH:
        return {}
    shifts = Counter((day - weekday) % 7 for day, weekday in known)
    shift, count = shifts.most_common(1)[0]
    if count < (1 - _RARE) * len(known):
        words = (
            f"it is not the weekday of '{features.TIMESTAMP}' in {1 - shifts[0] / len(known):.0%} of the rows: one of "
            "them is likely in another time zone; both are to be the clock on the wall at the start."
        )
    elif shift:
        first = min(1, *(day for day, _ in known))
        words = (
            f"by '{features.TIMESTAMP}' the days are likely counted from {_NAMES[(first - shift - 1) % 7]} = {first}; "
            "count from Sunday = 1."
        )
    else:
        return {}
    return {features.DAY_OF_WEEK: words}


def _degrees(rows: Rows, told: Told) -> Told:
    return {
        name: words for name in _COLDEST if (words := _degrees_of(name, [value for (value,) in _known(rows, name)]))
    }


def _degrees_of(name: str, values: Sequence[float]) -> str | None:
    if share := _often([value < _COLDEST[name] for value in values]):
        return (
            f"{_in_rows(share)} the temperatures are below {_COLDEST[name]:g}, colder than London is: they "
            "are likely in degrees Celsius; write Fahrenheit (F = 1.8 C + 32)."
        )
    if not _often([value > _HOTTEST for value in values]):
        return None
    hot = [value for value in values if value > _HOTTEST]
    if share := _often([value > _UNKNOWN_DEGREES for value in values]):
        return f"{_in_rows(share)} it is {max(hot):.1f}, a mark for a missing value; leave the cell empty."
    share = len(hot) / len(values)
    if all(_KELVIN[0] <= value <= _KELVIN[1] for value in hot):
        return f"{_in_rows(share)} the temperatures are likely in kelvin; write Fahrenheit (F = 1.8 K - 459.67)."
    return f"{_in_rows(share)} the temperatures are likely in tenths of a degree; write degrees Fahrenheit."


def _order(rows: Rows, told: Told) -> Told:
    """The day's lowest, mean and highest temperature. A degree is left to stations that round otherwise."""
    if told.keys() & _COLDEST.keys():
        return {}
    found = {}
    if share := _often([low > high for low, high in _known(rows, "min", "max")]):
        found["min"] = f"it is above 'max' {_in_rows(share)}: the two are likely swapped."
    elif share := _often([not low - 1 <= mean <= high + 1 for low, mean, high in _known(rows, "min", "temp", "max")]):
        found["temp"] = f"it is not between 'min' and 'max' {_in_rows(share)}: columns are likely mixed up."
    if share := _often([dew > mean + 1 for dew, mean in _known(rows, "dewp", "temp")]):
        found["dewp"] = f"it is above 'temp' {_in_rows(share)}, which no dew point is: they are likely swapped."
    return found


def _rain(rows: Rows, told: Told) -> Told:
    """A dry month in millimetres has no day that is too wet for inches, but too many that are nearly so."""
    days: dict[float, set[float]] = {}
    for start, rain in _known(rows, features.TIMESTAMP, "prcp"):
        if rain > 0:
            days.setdefault(start // 86_400, set()).add(rain)
    wet = [rain for found in days.values() for rain in found]
    if features.TIMESTAMP in told or len(days) < _WET_DAYS or max(wet) > _WETTEST:
        return {}
    twice = [len(found) == 2 and _MIXED[0] <= max(found) / min(found) <= _MIXED[1] for found in days.values()]
    if sum(twice) > len(twice) / 2:
        words = "on most days with rain some rows have 25.4 times as much of it as others: there"
    elif statistics.median(wet) > _WET:
        words = f"on half of the days with rain there are more than {_WET} inches of it, which is rare in London:"
    else:
        return {}
    return {"prcp": f"{words} the rain is likely in millimetres; write inches (1 inch is 25.4 mm)."}


def _places(rows: Rows, told: Told) -> Told:
    crosses = [cross for row in rows if isinstance(cross := row.get(features.LOC_CROSS), str)]
    share = _often([_CROSS.fullmatch(cross) is None for cross in crosses])
    if not share:
        return {}
    return {
        features.LOC_CROSS: f"{_in_rows(share)} it is not like 'POINT(-0.12 51.49)POINT(-0.1 51.5)', each "
        "point the longitude and then the latitude of a station in London."
    }


def _distance(rows: Rows, told: Told) -> Told:
    """The distance against the one on the grid."""
    known = [
        (distance, _on_grid(found))
        for row in rows
        if (distance := _number(row.get(features.EUCLIDEAN))) is not None
        and (found := _CROSS.fullmatch(str(row.get(features.LOC_CROSS))))
    ]
    wrong = [abs(distance - grid) > _GRID for distance, grid in known]
    share = _often(wrong)
    if features.LOC_CROSS in told or not share or max(distance for distance, _ in known) < _SHORTEST:
        return {}
    ratio = statistics.median(
        distance / max(grid, 1.0) for (distance, grid), far in zip(known, wrong, strict=True) if far
    )
    for unit, factor in _DISTANCE_UNITS.items():
        if 0.7 * factor <= ratio <= 1.4 * factor:
            return {features.EUCLIDEAN: f"{_in_rows(share)} the distances are likely in {unit}; write metres."}
    return {
        features.LOC_CROSS: f"{_in_rows(share)} its two points lie nearer or farther than "
        f"'{features.EUCLIDEAN}' says: the two are likely of different trips."
    }


def _speed(rows: Rows, told: Told) -> Told:
    """The duration against the distance."""
    known = list(_known(rows, features.EUCLIDEAN, features.LABEL_KEY))
    speeds = [distance / seconds for distance, seconds in known if distance >= _AWAY and seconds > 0]
    outside = [speed for speed in speeds if not _SPEEDS[0] <= speed <= _SPEEDS[1]]
    share = _often([not _SPEEDS[0] <= speed <= _SPEEDS[1] for speed in speeds], _MANY)
    if features.EUCLIDEAN in told or not share:
        return {}
    if not _DURATIONS[0] <= statistics.median(seconds for _, seconds in known) <= _DURATIONS[1]:
        return {}
    typical = statistics.median(outside)
    words = f"'{features.EUCLIDEAN}' and it are likely not both in metres and seconds."
    for unit, length in _DURATION_UNITS.items():
        if 0.5 * length <= typical / _USUAL_SPEED <= 2 * length:
            words = f"the durations are likely in {unit}; write seconds."
    which = "slower than on foot" if typical < _SPEEDS[0] else "faster than bicycles are"
    return {features.LABEL_KEY: f"{_in_rows(share)} the trip is {which}: {words}"}


_RULES: Final[tuple[Callable[[Rows, Told], Told], ...]] = (
    _time, _weekday, _degrees, _order, _rain, _places, _distance, _speed,
)  # fmt: skip
"""In this order: what one has told, the next ones do not tell in other words."""


def _known(rows: Rows, *names: str) -> Iterator[tuple[float, ...]]:
    """The values of the rows that have a number in each of these columns."""
    for row in rows:
        values = tuple(number for name in names if (number := _number(row.get(name))) is not None)
        if len(values) == len(names):
            yield values


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _often(wrong: Sequence[bool], rare: float = _RARE) -> float:
    """The share of what is wrong; 0 where that is rare, or nothing can be said."""
    share = sum(wrong) / len(wrong) if len(wrong) >= _ENOUGH else 0.0
    return share if share > rare else 0.0


def _in_rows(share: float) -> str:
    """A share so roughly that it is the same in each split, and what is wrong stands there once."""
    if share > 1 - _RARE:
        return "in nearly all rows"
    return "in some of the rows" if share < 0.3 else "in about half of the rows" if share < 0.7 else "in most rows"


def _is_time(seconds: float) -> bool:
    return _TIMES[0] <= seconds <= _TIMES[1]


def _weekday_of(seconds: float) -> int:
    """1 for a Sunday, of a time in seconds since 1970, whose first day was a Thursday."""
    return (int(seconds // 86_400) + 4) % 7 + 1


def _on_grid(cross: re.Match[str]) -> float:
    """Metres between the two points of a `loc_cross`."""
    start_longitude, start_latitude, end_longitude, end_latitude = map(float, cross.groups())
    return _DEGREE * math.hypot(0.62 * (end_longitude - start_longitude), end_latitude - start_latitude)
