"""Transform's graph on trips as they should not be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tensorflow_transform as tft

from models.bikes import features, offline, training

DENSE = {name: position for position, name in enumerate(features.DENSE_COMPONENTS)}
CATEGORY = {name: position for position, name in enumerate(features.CATEGORY_SIZES)}


@pytest.fixture
def trip(sample: pd.DataFrame) -> pd.DataFrame:
    """One trip that can hold any value."""
    return sample.iloc[[100]].astype(object).reset_index(drop=True)


def dense(trips: training.Trips, name: str) -> float:
    return float(trips.inputs[features.DENSE][0, DENSE[name]])


def category(trips: training.Trips, name: str) -> int:
    return int(trips.inputs[features.CATEGORIES][0, CATEGORY[name]])


def test_numbers_are_scaled_over_the_training_rows_that_have_them(train: training.Trips) -> None:
    scaled = train.inputs[features.DENSE].numpy()[:, [DENSE[name] for name in ("log_euclidean", "max", "dewp")]]
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0, atol=1e-3)
    # The holes in the analysed rows neither shift nor stretch the scale by more than their few rows can.
    temperature = train.inputs[features.DENSE].numpy()[:, DENSE["temp"]]
    assert abs(temperature.mean()) < 0.1
    assert 0.9 < temperature.std() < 1.1


def test_label_is_in_seconds(sample: pd.DataFrame, train: training.Trips) -> None:
    np.testing.assert_array_equal(train.durations.numpy()[:, 0], sample.duration.iloc[:500])


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("name", [features.EUCLIDEAN, *features.WEATHER])
def test_missing_number_stands_at_the_mean(
    transform_output: tft.TFTransformOutput, trip: pd.DataFrame, name: str, missing: float | None
) -> None:
    trips = offline.transform(transform_output, trip.assign(**{name: missing}))
    assert dense(trips, name if name != "prcp" else "log_prcp") == 0.0
    assert np.isfinite(trips.inputs[features.DENSE].numpy()).all()


def test_infinite_number_counts_as_missing(transform_output: tft.TFTransformOutput, trip: pd.DataFrame) -> None:
    trips = offline.transform(transform_output, trip.assign(temp=float("inf")))
    assert dense(trips, "temp") == 0.0


def test_missing_distance_is_no_round_trip(transform_output: tft.TFTransformOutput, trip: pd.DataFrame) -> None:
    assert dense(offline.transform(transform_output, trip.assign(euclidean=None)), "round_trip") == 0.0
    assert dense(offline.transform(transform_output, trip.assign(euclidean=0.0)), "round_trip") == 1.0


@pytest.mark.parametrize("hour", [0, 6, 18, 23])
def test_time_of_day_is_a_point_on_a_circle(
    transform_output: tft.TFTransformOutput, trip: pd.DataFrame, hour: int
) -> None:
    # A tf.Example's float is exact to 128 seconds, half a degree.
    trips = offline.transform(transform_output, trip.assign(ts=19_600 * 86_400.0 + hour * 3_600))
    assert dense(trips, "sin_1_a_day") == pytest.approx(np.sin(hour / 12 * np.pi), abs=0.01)
    assert dense(trips, "cos_1_a_day") == pytest.approx(np.cos(hour / 12 * np.pi), abs=0.01)


def test_missing_time_of_day_is_no_point_on_the_circle(
    transform_output: tft.TFTransformOutput, trip: pd.DataFrame
) -> None:
    trips = offline.transform(transform_output, trip.assign(ts=None))
    assert [dense(trips, f"{wave}_{turns}_a_day") for wave in ("sin", "cos") for turns in (1, 2, 3)] == [0.0] * 6


@pytest.mark.parametrize(("day", "weekend"), [(1, 1.0), (2, 0.0), (6, 0.0), (7, 1.0), (None, 0.0)])
def test_weekend(transform_output: tft.TFTransformOutput, trip: pd.DataFrame, day: int | None, weekend: float) -> None:
    trips = offline.transform(transform_output, trip.assign(day_of_week=day))
    assert dense(trips, "weekend") == weekend
    assert category(trips, features.DAY_OF_WEEK) == (day or 0)


@pytest.mark.parametrize("day", [0, 8, -1])
def test_day_that_is_none_is_unknown(transform_output: tft.TFTransformOutput, trip: pd.DataFrame, day: int) -> None:
    assert category(offline.transform(transform_output, trip.assign(day_of_week=day)), features.DAY_OF_WEEK) == 0


@pytest.mark.parametrize("station", [99_999, -5, None])
def test_station_not_seen_in_training_is_unknown(
    transform_output: tft.TFTransformOutput, trip: pd.DataFrame, station: int | None
) -> None:
    trips = offline.transform(transform_output, trip.assign(start_station_id=station, end_station_id=station))
    assert category(trips, features.START_STATION) == category(trips, features.END_STATION) == 0


def test_rare_station_shares_the_unknown_entry(
    transform_output: tft.TFTransformOutput, sample: pd.DataFrame, trip: pd.DataFrame
) -> None:
    seen = pd.concat([sample.start_station_id.iloc[:500], sample.end_station_id.iloc[:500]]).value_counts()
    once, often = int(seen.index[seen == 1][0]), int(seen.index[0])
    rare = offline.transform(transform_output, trip.assign(start_station_id=once))
    common = offline.transform(transform_output, trip.assign(start_station_id=often, end_station_id=often))
    assert category(rare, features.START_STATION) == 0
    # Start and end read the same vocabulary.
    assert category(common, features.START_STATION) == category(common, features.END_STATION) > 0


@pytest.mark.parametrize("cross", ["", "somewhere", "POINT(1.2.3 51.5)POINT(0 51.5)", "POINT(-0.1 51.5)", None])
def test_malformed_cross_is_unknown(
    transform_output: tft.TFTransformOutput, trip: pd.DataFrame, cross: str | None
) -> None:
    trips = offline.transform(transform_output, trip.assign(loc_cross=cross))
    assert [category(trips, name) for name in (features.START_CELL, features.END_CELL)] == [0, 0]
    assert [dense(trips, name) for name in DENSE if name.endswith("_cell")] == [0.0] * 4


def test_text_that_is_frequent_in_training_but_no_cross_has_no_cells(
    transform_output: tft.TFTransformOutput, trip: pd.DataFrame
) -> None:
    # "somewhere" stands in the analysed rows often enough to enter the vocabulary of crosses, as any text would.
    trips = offline.transform(transform_output, trip.assign(loc_cross="somewhere"))
    assert category(trips, features.LOC_CROSS) > 0
    assert category(trips, features.START_CELL) == 0


def test_cells_follow_the_text(transform_output: tft.TFTransformOutput, trip: pd.DataFrame) -> None:
    west = offline.transform(transform_output, trip.assign(loc_cross="POINT(-0.2 51.5)POINT(0 51.5)"))
    east = offline.transform(transform_output, trip.assign(loc_cross="POINT(0 51.5)POINT(-2e-1 51.5)"))
    assert dense(west, "start_longitude_cell") < -1 < 1 < dense(west, "end_longitude_cell")
    assert dense(east, "end_longitude_cell") < -1 < 1 < dense(east, "start_longitude_cell")


def test_neither_bicycle_nor_coordinates_are_read(transform_output: tft.TFTransformOutput, trip: pd.DataFrame) -> None:
    other = trip.assign(bike_id="na", start_latitude=0.0, end_longitude=0.0)
    before, after = offline.transform(transform_output, trip), offline.transform(transform_output, other)
    np.testing.assert_array_equal(before.inputs[features.DENSE], after.inputs[features.DENSE])
    assert set(transform_output.raw_feature_spec()) == {features.LABEL_KEY, *features.MODEL_INPUTS}


def test_categories_fit_their_tables(train: training.Trips) -> None:
    largest = train.inputs[features.CATEGORIES].numpy().max(axis=0)
    assert (largest < np.array(list(features.CATEGORY_SIZES.values()))).all()
