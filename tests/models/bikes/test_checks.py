"""What is wrong between columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.bikes import checks

Change = Callable[[pd.DataFrame], Any]


def asked(table: pd.DataFrame) -> dict[str, str]:
    """Of the rows as tf.Examples hold them."""
    held = table.assign(ts=table["ts"].astype(np.float32).astype(float))
    return checks.relations(
        [dict(zip(map(str, held.columns), row, strict=True)) for row in held.itertuples(index=False)]
    )


def test_nothing_is_wrong_with_the_sample(sample: pd.DataFrame) -> None:
    assert asked(sample) == {}


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
