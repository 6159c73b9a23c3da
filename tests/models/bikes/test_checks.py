"""What is wrong between columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.bikes import checks
from tests.models.bikes.test_schema import REAL
from tfx_pipeline.data import sample_data

Change = Callable[[Any], Any]


def asked(table: pd.DataFrame) -> dict[str, str]:
    """Of the rows as tf.Examples hold them."""
    held = table.assign(ts=table["ts"].astype(np.float32).astype(float))
    return checks.relations(
        [dict(zip(map(str, held.columns), row, strict=True)) for row in held.itertuples(index=False)]
    )


def test_nothing_is_wrong_with_the_sample(sample: pd.DataFrame) -> None:
    assert asked(sample) == {}


@pytest.mark.skipif(not REAL.is_file(), reason=f"BIKES_DATA names no file, and {REAL} does not exist")
def test_nothing_is_wrong_with_the_real_trips_nor_with_any_part_of_them() -> None:
    table = pd.read_csv(REAL)
    parts = [table, *(table.iloc[first : first + 60] for first in range(0, len(table), 60))]
    assert [found for part in parts if (found := asked(part))] == []


def celsius(fahrenheit: pd.Series[float]) -> pd.Series[float]:
    return (fahrenheit - 32) / 1.8


def turned(values: pd.Series[str]) -> pd.Series[str]:
    return values.str.replace(r"POINT\((\S+) (\S+?)\)", r"POINT(\2 \1)", regex=True)


MIXED_UP: list[tuple[str, Change, str]] = [
    ("loc_cross", lambda values: "POINT(nan nan)POINT(nan nan)", "a station in London"),
    ("loc_cross", lambda values: "unknown", "a station in London"),
    ("loc_cross", lambda values: "POINT(50 51)POINT(50 51)", "a station in London"),
    ("loc_cross", lambda values: [f"unknown {row}" for row in range(len(values))], "a station in London"),
    ("loc_cross", turned, "the longitude and then the latitude"),
    ("loc_cross", lambda values: "POINT(-0.12 51.4)POINT(-0.12 51.4)", "of different trips"),
    ("ts", lambda values: values * 1e9, "in nanoseconds"),
    ("ts", lambda values: values * 1e6, "in microseconds"),
    ("ts", lambda values: values * 1e3, "in milliseconds"),
    ("ts", lambda values: values / 60, "in minutes"),
    ("ts", lambda values: values / 3_600, "in hours"),
    ("ts", lambda values: values / 86_400, "in days"),
    ("euclidean", lambda values: values / 0.3048, "in feet"),
    ("duration", lambda values: values * 10, "in tenths of a second"),
    *((name, celsius, "Celsius") for name in ("max", "min", "temp", "dewp")),
    *((name, lambda values: celsius(values) + 273.15, "kelvin") for name in ("max", "min", "temp", "dewp")),
    *((name, lambda values: values * 10, "tenths of a degree") for name in ("max", "min", "temp", "dewp")),
    ("temp", lambda values: 9999.9, "a mark for a missing value"),
]


def mixed_up(table: pd.DataFrame, every: int, name: str, change: Change) -> dict[str, str]:
    """What is told where every so many rows are changed."""
    changed = table.assign(**{name: change(table[name])})[name]
    return asked(table.assign(**{name: changed.where(lambda values: values.index % every == 0, table[name])}))


@pytest.mark.parametrize(("name", "change", "told"), MIXED_UP)
@pytest.mark.parametrize("every", [1, 2])
def test_a_mix_up_is_told_once_though_only_some_rows_have_it(
    sample: pd.DataFrame, name: str, change: Change, told: str, every: int
) -> None:
    found = mixed_up(sample, every, name, change)
    assert list(found) == [name]
    assert told in found[name]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("euclidean", lambda values: values / 1_609.344, "in miles"),
        ("euclidean", lambda values: values / 1_000, "in kilometres"),
        ("duration", lambda values: values / 60, "in minutes"),
        ("duration", lambda values: values * 1_000, "in milliseconds"),
    ],
)
def test_what_statistics_tell_of_a_whole_column_rows_tell_of_a_part(
    sample: pd.DataFrame, name: str, change: Change, told: str
) -> None:
    assert told in mixed_up(sample, 3, name, change)[name]
    assert mixed_up(sample, 1, name, change) == {}


def test_places_that_are_none_are_told_by_rows(sample: pd.DataFrame) -> None:
    def told(every: int) -> str:
        return mixed_up(sample, every, "loc_cross", lambda values: "unknown").get("loc_cross", "")

    assert told(5).startswith("in some of the rows it is not like")
    assert told(2).startswith("in about half of the rows")
    assert told(50) == "", "a place here and there that is no point is let through"


def test_rain_in_millimetres_is_told_in_a_dry_file(sample: pd.DataFrame) -> None:
    table = sample.assign(prcp=sample["prcp"] * 25.4)
    dry = table[table["prcp"] <= 3.8]
    assert list(asked(dry)) == ["prcp"]
    assert "millimetres" in asked(dry)["prcp"]
    assert asked(table) == {}, "validations.pbtxt tells it"


def test_rain_in_millimetres_is_told_in_half_of_the_rows() -> None:
    table = sample_data.generate(4_000, seed=1)
    dry = table[table["prcp"] <= 0.15].reset_index(drop=True)
    assert asked(dry) == {}
    found = mixed_up(dry, 2, "prcp", lambda values: (values * 25.4).round(1))
    assert list(found) == ["prcp"]
    assert "25.4 times as much" in found["prcp"]


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        ({"min": "max", "max": "min"}, "min", "swapped"),
        ({"temp": "max", "max": "temp"}, "temp", "not between 'min' and 'max'"),
        ({"dewp": "temp", "temp": "dewp"}, "dewp", "no dew point"),
    ],
)
def test_swapped_temperatures_are_told(sample: pd.DataFrame, change: dict[str, str], name: str, told: str) -> None:
    found = asked(sample.rename(columns=change))
    assert told in found[name]


def test_values_of_a_wrong_type_are_left_to_the_schema(sample: pd.DataFrame) -> None:
    assert asked(sample.assign(temp="warm", day_of_week="Monday", duration="long", loc_cross=1.5)) == {}
    assert asked(sample.assign(ts=np.inf, euclidean=np.nan)) == {}


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (lambda table: (table["day_of_week"] - 2) % 7 + 1, "counted from Monday = 1; count from Sunday = 1"),
        (lambda table: (table["day_of_week"] - 2) % 7, "counted from Monday = 0; count from Sunday = 1"),
        (lambda table: table["day_of_week"] - 1, "counted from Sunday = 0; count from Sunday = 1"),
        (lambda table: table["day_of_week"] % 7 + 1, "counted from Saturday = 1; count from Sunday = 1"),
        (
            lambda table: np.random.default_rng(1).permutation(table["day_of_week"]),
            "of the rows: one of them",
        ),
    ],
)
def test_days_that_are_counted_otherwise_are_told_as_such(sample: pd.DataFrame, days: Change, told: str) -> None:
    found = asked(sample.assign(day_of_week=days(sample)))
    assert list(found) == ["day_of_week"]
    assert told in found["day_of_week"]


def test_another_time_zone_is_told_with_its_share(sample: pd.DataFrame) -> None:
    found = asked(sample.assign(ts=sample["ts"] + 9 * 3600))
    assert "in another time zone" in found["day_of_week"]


def test_an_hour_of_summer_time_is_let_through(sample: pd.DataFrame) -> None:
    assert asked(sample.assign(ts=sample["ts"] + 3600)) == {}


def test_rows_without_a_value_and_too_few_rows_tell_nothing(sample: pd.DataFrame) -> None:
    wrong = sample.assign(day_of_week=(sample["day_of_week"] - 2) % 7 + 1)
    assert asked(wrong.head(10)) == {}
    rows: list[dict[str, Any]] = [{"ts": None, "day_of_week": 3}, {"ts": 1.0, "day_of_week": None}, {}] * 100
    assert checks.relations(rows) == {}
