"""The sample: repeatable, consistent, like a city, and worth learning from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.bikes.features import COLUMNS
from tfx_pipeline.data import sample_city, sample_data


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return sample_data.generate(20_000, seed=1)


def test_columns_and_types_are_those_of_real_files(sample: pd.DataFrame) -> None:
    assert tuple(sample.columns) == COLUMNS
    whole = ["duration", "end_station_id", "day_of_week", "start_station_id"]
    text = ["bike_id", "loc_cross"]
    assert all(sample[name].dtype == np.int64 for name in whole)
    assert all(sample[name].dtype == np.float64 for name in COLUMNS if name not in {*whole, *text})
    assert not sample.isna().any().any()


def test_the_same_rows_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        sample_data.write_csv(tmp_path / name, 3_000, seed=7)
    sample_data.write_csv(tmp_path / "c", 3_000, seed=8)
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_the_file_holds_what_generate_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small chunks, so that the file is written in several.
    monkeypatch.setattr(sample_data, "_CHUNK", 400)
    sample_data.write_csv(tmp_path / "sample.csv", 1_000, seed=2)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "sample.csv"), sample_data.generate(1_000, seed=2))


def test_a_row_is_true_to_itself(sample: pd.DataFrame) -> None:
    start = pd.to_datetime(sample.ts, unit="s")
    np.testing.assert_array_equal(sample.day_of_week, (start.dt.dayofweek + 1) % 7 + 1)
    np.testing.assert_array_equal(sample.euclidean == 0, sample.start_station_id == sample.end_station_id)
    cells = sample.loc_cross.str.extract(r"^POINT\((\S+) (\S+)\)POINT\((\S+) (\S+)\)$").astype(float)
    places = sample[["start_longitude", "start_latitude", "end_longitude", "end_latitude"]]
    assert np.abs(cells.to_numpy() - places.to_numpy()).max() <= 0.005 + 1e-9
    assert not sample.loc_cross.str.contains("-0[ )]").any()
    assert (sample["min"] <= sample.temp).all()
    assert (sample.temp <= sample["max"]).all()
    assert (sample.dewp <= sample.temp).all()


def test_weather_and_places_are_one_for_all_seeds(sample: pd.DataFrame) -> None:
    other = sample_data.generate(5_000, seed=2)
    both = pd.concat([sample, other])
    assert (both.groupby("start_station_id").start_latitude.nunique() == 1).all()
    assert (both.groupby(both.ts // 86_400)[["prcp", "max", "temp"]].nunique() == 1).all().all()


def test_rows_without_a_bicycle_count_minutes(sample: pd.DataFrame) -> None:
    unknown = sample.bike_id == "na"
    assert 0.25 < unknown.mean() < 0.35
    assert (sample.duration[unknown] % 60 == 0).all()
    assert (sample.duration[~unknown] % 60 != 0).mean() > 0.9


def test_the_city_rides_like_a_city(sample: pd.DataFrame) -> None:
    hour = sample.ts % 86_400 // 3_600
    weekend = sample.day_of_week.isin([1, 7])
    on_weekdays, on_weekends = hour[~weekend].value_counts(), hour[weekend].value_counts()
    assert {int(each) for each in on_weekdays.index[:4]} == {8, 9, 17, 18} or on_weekdays[8] > 2 * on_weekdays[11]
    assert on_weekends[8] < on_weekends[15]
    assert on_weekdays[3] < on_weekdays[8] / 20
    to_work = sample[~weekend & hour.between(7, 9)]
    centre = (51.508, -0.118)
    assert (to_work.end_latitude - centre[0]).abs().mean() < (to_work.start_latitude - centre[0]).abs().mean()
    assert (to_work.end_longitude - centre[1]).abs().mean() < (to_work.start_longitude - centre[1]).abs().mean()


def test_durations_depend_on_distance_and_have_a_long_tail(sample: pd.DataFrame) -> None:
    away = sample[sample.euclidean > 0]
    assert np.corrcoef(np.log(away.euclidean), np.log(away.duration))[0, 1] > 0.5
    assert sample.duration.between(60, 86_400).all()
    assert sample.duration.quantile(0.99) > 4 * sample.duration.median()
    assert sample.duration.max() > 10 * sample.duration.median()


def test_the_median_is_easily_beaten() -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    table = sample_data.generate(sample_data.DEFAULT_ROWS)
    matrix = table.drop(columns=["duration", "bike_id", "loc_cross"]).assign(hour=table.ts % 86_400).to_numpy()
    durations = table.duration.to_numpy()
    test = np.arange(len(table)) % 5 == 0
    trees = HistGradientBoostingRegressor(loss="absolute_error").fit(matrix[~test], durations[~test])
    error = np.abs(trees.predict(matrix[test]) - durations[test]).mean()
    median = np.abs(np.median(durations[~test]) - durations[test]).mean()
    # Real trips: 0.67. Neither noise nor a formula that a model could know by heart.
    assert 0.5 < error / median < 0.8


@pytest.mark.parametrize(("rows", "seed"), [(0, 1), (-3, 1), (5, -1)])
def test_senseless_sizes_are_refused(tmp_path: Path, rows: int, seed: int) -> None:
    with pytest.raises(ValueError, match=r"must not be negative|at least one"):
        sample_data.generate(rows, seed)
    with pytest.raises(ValueError, match=r"must not be negative|at least one"):
        sample_data.write_csv(tmp_path / "sample.csv", rows, seed)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sample.csv"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(sample_data, "_CHUNK", 100)
    whole = sample_data._trips
    written: list[int] = []

    def full_disk(rows: int, random: np.random.Generator) -> pd.DataFrame:
        if written:
            raise OSError(28, "No space left on device")
        written.append(rows)
        return whole(rows, random)

    monkeypatch.setattr(sample_data, "_trips", full_disk)
    with pytest.raises(OSError, match="No space left"):
        sample_data.write_csv(path, 300, seed=1)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_command_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tfx_pipeline.data.sample_data",
        "--rows",
        "50",
        "--seed",
        "3",
        str(tmp_path / "s.csv"),
    ]
    subprocess.run(command, check=True, timeout=60)
    sample_data.write_csv(tmp_path / "expected.csv", 50, seed=3)
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


def test_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "no such folder" / "s.csv"
    assert sample_data.main([str(missing)]) == 1
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        sample_data.main([str(tmp_path / "s.csv"), "--rows", "0"])
    assert "at least one" in capsys.readouterr().err


def test_the_year_begins_on_a_sunday() -> None:
    assert pd.Timestamp(sample_city.FIRST_DAY).day_name() == "Sunday"
