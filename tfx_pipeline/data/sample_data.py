"""A made-up year of bicycle hires in a made-up London: the default data, and any amount of it for benchmarks.

Nothing in it is copied from real data. A city of docking stations and a year of weather are drawn from a fixed seed;
trips are drawn from the caller's seed. What a model can learn from them:

- On weekdays, commuters ride from where people live to where they work in the morning and back in the evening; their
  trips are fast and much alike. Strollers ride in the afternoon, above all on warm, dry weekends, near parks; their
  trips are slow, vary widely, and often end where they started.
- A trip covers its route at the rider's speed. Routes are longer than a straight line, streets are slow in the rush
  hours and slower in the rain, strollers are slower in warm weather, each station has its own hills and lights, and
  some bicycles are kept for hours: the long tail.

    python -m tfx_pipeline.data.sample_data --rows 4000 --seed 1 sample.csv
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.bikes.features import COLUMNS
from tfx_pipeline.data import sample_city
from tfx_pipeline.data.sample_city import ERRAND, FIRST_DAY, STATIONS, STROLL, City, Floats, Ints

DEFAULT_ROWS: Final = 4_000
DEFAULT_SEED: Final = 1

_CHUNK: Final = 100_000

# By kind of trip, in the order of the kinds.
_ROUND_TRIPS: Final = np.array([0.004, 0.004, 0.2, 0.03])
_SPEED: Final = np.array([4.1, 3.9, 2.7, 3.4])
"""Metres a second along the streets."""
_SPREAD: Final = np.array([0.18, 0.2, 0.45, 0.3])
"""Standard deviation of the logarithm of a trip's duration."""
_KEPT_FOR_HOURS: Final = np.array([0.004, 0.006, 0.06, 0.02])


def generate(rows: int, seed: int = DEFAULT_SEED) -> pd.DataFrame:
    """Trips with the 17 columns of `models.bikes.features.COLUMNS`, in the order of their start within each 100,000.

    Args:
      rows: how many trips, at least 1.
      seed: any non-negative integer; the same rows and seed give the same trips, byte for byte.

    Raises:
      ValueError: `rows` or `seed` is out of range.
    """
    return pd.concat(_chunks(rows, seed), ignore_index=True)


def write_csv(path: Path | str, rows: int, seed: int = DEFAULT_SEED) -> None:
    """Writes what `generate` returns as CSV, in bounded memory; the file appears at `path` whole or not at all.

    Raises:
      ValueError: `rows` or `seed` is out of range.
      OSError: the folder does not exist, is read-only or full.
    """
    chunks = _chunks(rows, seed)
    path = Path(path)
    partial = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        with partial.open("x", encoding="utf-8", newline="") as file:
            for number, chunk in enumerate(chunks):
                chunk.to_csv(file, index=False, header=number == 0, lineterminator="\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _chunks(rows: int, seed: int) -> Iterator[pd.DataFrame]:
    if rows < 1:
        raise ValueError(f"rows is {rows}: a sample has at least one")
    if seed < 0:
        raise ValueError(f"seed is {seed}: it must not be negative")
    sizes = [_CHUNK] * (rows // _CHUNK) + ([rows % _CHUNK] if rows % _CHUNK else [])
    return (_trips(size, np.random.default_rng([seed, number])) for number, size in enumerate(sizes))


def _trips(rows: int, random: np.random.Generator) -> pd.DataFrame:
    city = sample_city.city()
    day = _pick(city.day_weights, random.random(rows))
    weekday = (FIRST_DAY + day).astype("datetime64[D]").astype(np.int64) - 3  # 1970-01-01 was a Thursday.
    weekday = weekday % 7 + 1  # 1 is Sunday.
    weekend = (weekday == 1) | (weekday == 7)
    kind = _kinds(weekend, city.warmth[day], city.rain[day], random)
    hour = _hours(kind, random)
    start, end = _stations(city, kind, random)
    duration = _durations(city, day, kind, hour, start, end, random)

    # As in the real data, some rows come from sources that record neither the bicycle nor the second.
    anonymous = random.random(rows) < 0.3
    duration = np.where(anonymous, np.clip(duration // 60, 2, 99) * 60, duration)
    bikes = random.integers(10_000, 60_000, rows).astype(str).astype(object)
    bikes[anonymous] = "na"
    seconds = np.where(anonymous, np.floor(hour) * 3_600, np.floor(hour * 60) * 60)
    timestamp = (FIRST_DAY + day).astype("datetime64[s]").astype(np.float64) + seconds

    cells = np.array([_cell(*point) for point in zip(city.longitude, city.latitude, strict=True)], dtype=object)
    columns: dict[str, npt.NDArray[np.generic]] = {
        "duration": duration.astype(np.int64),
        "end_station_id": city.ids[end],
        "bike_id": bikes,
        "ts": timestamp,
        "day_of_week": weekday,
        "start_station_id": city.ids[start],
        "start_latitude": city.latitude[start],
        "start_longitude": city.longitude[start],
        "end_latitude": city.latitude[end],
        "end_longitude": city.longitude[end],
        "euclidean": city.distance[start, end],
        "loc_cross": cells[start] + cells[end],
        **{name: values[day] for name, values in city.weather.items()},
    }
    order = np.argsort(timestamp, kind="stable")
    return pd.DataFrame({name: columns[name][order] for name in COLUMNS})


def _kinds(weekend: npt.NDArray[np.bool_], warmth: Floats, rain: Floats, random: np.random.Generator) -> Ints:
    """The kind of each trip, by weekday and weather."""
    stroll = np.where(weekend, 0.5, 0.17) * np.exp(0.55 * warmth - 0.5 * (rain > 0.1))
    shares = np.stack([np.where(weekend, 0.04, 0.34), np.where(weekend, 0.05, 0.33), stroll, np.full(len(rain), 0.26)])
    shares = np.cumsum(shares / shares.sum(axis=0), axis=0)
    return np.minimum((random.random(len(rain)) > shares).sum(axis=0), ERRAND)


def _hours(kind: Ints, random: np.random.Generator) -> Floats:
    """The time of day in hours, from 0 up to but not including 24."""
    centre = np.array([8.4, 17.9, 15.0, 13.5])[kind]
    width = np.array([0.9, 1.2, 3.0, 5.0])[kind]
    # Twice, because the remainder of a tiny negative number rounds to 24 itself.
    return (centre + width * random.standard_normal(len(kind))) % 24.0 % 24.0


def _stations(city: City, kind: Ints, random: np.random.Generator) -> tuple[Ints, Ints]:
    start = np.empty(len(kind), dtype=np.int64)
    end = np.empty(len(kind), dtype=np.int64)
    drawn = random.random((3, len(kind)))
    for each in range(len(_SPEED)):
        rows = np.flatnonzero(kind == each)
        start[rows] = _pick(city.starts[each], drawn[0, rows])
        # One sorted table for all starts: row number plus cumulative probability.
        table = (city.ends[each] + np.arange(STATIONS)[:, None]).ravel()
        found = np.searchsorted(table, start[rows] + drawn[1, rows], side="right")
        end[rows] = np.minimum(found - start[rows] * STATIONS, STATIONS - 1)
    return start, np.where(drawn[2] < _ROUND_TRIPS[kind], start, end)


def _durations(
    city: City, day: Ints, kind: Ints, hour: Floats, start: Ints, end: Ints, random: np.random.Generator
) -> Floats:
    """Whole seconds from hire to return, between one minute and one day."""
    rows = len(kind)
    away = start != end
    stroll = kind == STROLL
    warmth, rain = city.warmth[day], city.rain[day]
    rush = np.exp(-(((hour - 8.4) / 1.2) ** 2)) + np.exp(-(((hour - 17.8) / 1.5) ** 2))
    weekday = (day + 1) % 7 >= 2  # The first day is a Sunday; Saturdays become 0 and Sundays 1.
    pace = city.slowness[start] + city.slowness[end] + 0.16 * rush * weekday + 0.1 * np.minimum(rain, 1.0)
    pace = pace + np.where(stroll, 0.22 * np.maximum(warmth, -1.0), 0.0)
    way = 1.32 * city.distance[start, end] + 120.0
    there = 75.0 + way / _SPEED[kind] * np.exp(pace)
    around = 1_500.0 * np.exp(0.25 * warmth)
    typical = np.where(away, there, around)
    spread = np.where(away, _SPREAD[kind], 0.65)
    duration = typical * np.exp(spread * random.standard_normal(rows))
    kept = random.random(rows) < _KEPT_FOR_HOURS[kind]
    duration = np.where(kept, duration + 2_400.0 * (1.0 + random.pareto(1.6, rows)), duration)
    return np.floor(np.clip(duration, 60.0, 86_400.0))


def _pick(cumulative: Floats, drawn: Floats) -> Ints:
    return np.minimum(np.searchsorted(cumulative, drawn, side="right"), len(cumulative) - 1).astype(np.int64)


def _cell(longitude: float, latitude: float) -> str:
    """A point on the grid of 0.01 degrees, as BigQuery writes it; adding 0 turns -0.0 into 0."""
    return f"POINT({round(longitude, 2) + 0:g} {round(latitude, 2) + 0:g})"


def main(arguments: list[str] | None = None) -> int:
    """The command line entry point; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tfx_pipeline.data.sample_data",
        description="Writes a sample of made-up London bicycle hires as CSV.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the CSV file to write")
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS, help="number of trips (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="another seed, other trips (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        write_csv(options.out, options.rows, options.seed)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        print(f"{options.out}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
