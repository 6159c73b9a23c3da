"""What the schema lets through and what it finds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv

from custom_components.anomaly_gate import validator
from models.bikes import offline
from tests.repository import ROOT
from tfx_pipeline.data import sample_data

REAL = Path(os.environ.get("BIKES_DATA") or ROOT.parent / "shared/data/london_bikes_weather.csv")


def anomalies(table: pd.DataFrame) -> dict[str, str]:
    statistics = tfdv.generate_statistics_from_dataframe(table)
    asked = validator.answerable(offline.read_validations(), statistics)
    found = tfdv.validate_statistics(statistics, offline.read_schema(), custom_validation_config=asked)
    validator.forget_new_columns(found)
    return {
        name: " ".join(f"{reason.short_description} {reason.description}" for reason in anomaly.reason)
        for name, anomaly in found.anomaly_info.items()
    }


def test_the_sample_fits(tmp_path: Path) -> None:
    sample_data.write_csv(tmp_path / "sample.csv", 4_000, seed=1)
    assert anomalies(pd.read_csv(tmp_path / "sample.csv")) == {}


@pytest.mark.skipif(not REAL.is_file(), reason=f"BIKES_DATA names no file, and {REAL} does not exist")
def test_the_real_trips_fit() -> None:
    assert anomalies(pd.read_csv(REAL)) == {}


@pytest.mark.parametrize(
    ("feature", "change"),
    [
        ("duration", {"duration": -600}),
        ("duration", {"duration": 600.5}),
        ("temp", {"temp": "warm"}),
        ("start_station_id", {"start_station_id": "Hyde Park Corner"}),
        ("day_of_week", {"day_of_week": 8}),
        ("euclidean", {"euclidean": -1.0}),
        ("ts", {"ts": 1.69e12}),
        ("max", {"max": 9999.9}),
    ],
)
def test_wrong_values_are_found(sample: pd.DataFrame, feature: str, change: dict[str, Any]) -> None:
    assert feature in anomalies(sample.assign(**change))


@pytest.mark.parametrize(
    ("feature", "change", "told"),
    [
        ("duration", lambda values: values // 60 + 1, "minutes"),
        ("duration", lambda values: values * 1000, "milliseconds"),
        ("euclidean", lambda values: values / 1000, "kilometres"),
        ("euclidean", lambda values: values / 1609.344, "miles"),
        ("prcp", lambda values: values * 25.4, "millimetres"),
    ],
)
def test_a_column_in_another_unit_is_told_as_such(
    sample: pd.DataFrame, feature: str, change: Callable[[Any], Any], told: str
) -> None:
    rainy = sample.assign(prcp=[0.0] * (len(sample) - 1) + [0.5])
    assert anomalies(rainy) == {}
    changed = anomalies(rainy.assign(**{feature: change(rainy[feature])}))
    assert list(changed) == [feature]
    assert told in changed[feature]


def test_what_the_model_does_not_read_may_be_anything(sample: pd.DataFrame) -> None:
    read = {feature.name for feature in offline.read_schema().feature}
    assert anomalies(sample[sorted(read)]) == {}
    assert anomalies(sample.assign(bike_id=4711, start_latitude="north", end_latitude=None, colour="red")) == {}


@pytest.mark.parametrize("feature", ["duration", "prcp", "loc_cross"])
def test_a_missing_column_is_found(sample: pd.DataFrame, feature: str) -> None:
    assert feature in anomalies(sample.drop(columns=feature))


def test_missing_values_of_the_label_are_found(sample: pd.DataFrame) -> None:
    table = sample.astype({"duration": object})
    table.loc[:3, "duration"] = None
    assert "duration" in anomalies(table)
