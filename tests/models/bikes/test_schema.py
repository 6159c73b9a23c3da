"""What the schema lets through and what it finds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv

from models.bikes import offline
from tfx_pipeline import sample_data

REAL = Path(
    os.environ.get("BIKES_DATA") or Path(__file__).resolve().parents[4] / "shared/data/london_bikes_weather.csv"
)


def anomalies(table: pd.DataFrame) -> dict[str, str]:
    found = tfdv.validate_statistics(tfdv.generate_statistics_from_dataframe(table), offline.read_schema())
    return {name: anomaly.description for name, anomaly in found.anomaly_info.items()}


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
        ("start_latitude", {"start_latitude": -0.12, "start_longitude": 51.5}),
        ("euclidean", {"euclidean": -1.0}),
        ("ts", {"ts": 1.69e12}),
        ("max", {"max": 9999.9}),
        ("bike_id", {"bike_id": 4711}),
    ],
)
def test_wrong_values_are_found(sample: pd.DataFrame, feature: str, change: dict[str, Any]) -> None:
    assert feature in anomalies(sample.assign(**change))


@pytest.mark.parametrize("feature", ["duration", "prcp", "loc_cross"])
def test_a_missing_column_is_found(sample: pd.DataFrame, feature: str) -> None:
    assert feature in anomalies(sample.drop(columns=feature))


def test_an_unknown_column_is_found(sample: pd.DataFrame) -> None:
    assert "wind" in anomalies(sample.assign(wind=3.0))


def test_missing_values_of_the_label_are_found(sample: pd.DataFrame) -> None:
    table = sample.astype({"duration": object})
    table.loc[:3, "duration"] = None
    assert "duration" in anomalies(table)
