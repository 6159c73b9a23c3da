"""The made-up London of the sample data: its stations, the distribution of trips, and a year of weather."""

from __future__ import annotations

import dataclasses
import functools
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STATIONS: Final = 420
DAYS: Final = 365
FIRST_DAY: Final = np.datetime64("2023-01-01")
"""A Sunday."""

TO_WORK, HOME, STROLL, ERRAND = range(4)
"""Kinds of trips; they differ in where they lead and how they are ridden."""

_SEED: Final = 51_507
_CENTRE: Final = (51.508, -0.118)
"""Latitude and longitude in degrees."""
_EARTH_RADIUS: Final = 6_371_010.0
"""Metres; the sphere that BigQuery's ST_DISTANCE measures on."""
_REACH: Final = np.array([2_100.0, 2_100.0, 1_900.0, 1_500.0])
"""Metres, by kind, after which another station is 1/e as likely a destination."""


@dataclasses.dataclass(frozen=True)
class City:
    """Stations (arrays of shape [stations]), the distribution of trips, and a year's weather (shape [days])."""

    ids: Ints
    latitude: Floats
    longitude: Floats
    slowness: Floats
    distance: Floats
    """Metres, shape [stations, stations]."""
    starts: Floats
    """Cumulative probability of a start, shape [kinds, stations]."""
    ends: Floats
    """Cumulative probability of another station as the end, given the start: shape [kinds, stations, stations]."""
    weather: dict[str, Floats]
    warmth: Floats
    rain: Floats
    day_weights: Floats
    """Cumulative share of the year's trips, shape [days]."""


@functools.cache
def city() -> City:
    """The one city and year that all samples share."""
    random = np.random.default_rng(_SEED)
    # Districts: a dense centre and a wide ring, stretched along the river as the city is.
    centre = random.random(STATIONS) < 0.4
    offset = np.clip(random.standard_normal((2, STATIONS)), -2.0, 2.0) + 0.1 * random.standard_normal((2, STATIONS))
    east = np.where(centre, 1_800.0, 4_600.0) * offset[0]
    north = np.where(centre, 1_000.0, 2_300.0) * offset[1]
    latitude = np.round(51.508 + np.degrees(north / _EARTH_RADIUS), 8)
    longitude = np.round(-0.118 + np.degrees(east / _EARTH_RADIUS / np.cos(np.radians(51.508))), 9)
    distance = _distances(latitude, longitude)
    parks = random.choice(STATIONS, 6, replace=False)
    work = np.exp(-((east / 2_600.0) ** 2 + (north / 1_500.0) ** 2)) + 0.03
    park = np.exp(-((distance[:, parks].min(axis=1) / 500.0) ** 2)) + 0.08
    home = 1.05 - work
    size = random.gamma(4.0, 0.25, STATIONS)
    starting = size * np.stack([home, work, park, np.ones(STATIONS)])
    ending = size * np.stack([work, home, park, np.ones(STATIONS)])
    # Hardly anyone rides where walking is as fast.
    reachable = 1.0 - np.exp(-((distance / 500.0) ** 2))
    flows = ending[:, None, :] * np.exp(-distance / _REACH[:, None, None]) * reachable
    weather, warmth, rain = _weather(random)
    weekday = np.arange(DAYS) % 7  # 0 is Sunday, as 2023 begins with one.
    busy = np.exp(0.3 * warmth - 0.35 * (rain > 0.1) - 0.4 * np.minimum(rain, 1.5)) * np.where(
        np.isin(weekday, (0, 6)), 0.85, 1.0
    )
    return City(
        ids=np.sort(random.choice(np.arange(1, 871), STATIONS, replace=False)).astype(np.int64),
        latitude=latitude,
        longitude=longitude,
        slowness=0.1 * random.standard_normal(STATIONS),
        distance=distance,
        starts=_cumulative(starting),
        ends=_cumulative(flows),
        weather=weather,
        warmth=warmth,
        rain=rain,
        day_weights=_cumulative(busy),
    )


def _weather(random: np.random.Generator) -> tuple[dict[str, Floats], Floats, Floats]:
    """Columns of weather by day, warmth (1 is a hot summer's day, 0 the year's mean) and rain in inches."""
    season = -np.cos(2 * np.pi * (np.arange(DAYS) - 20) / 365.25)
    mood = np.empty(DAYS)
    mood[0] = 0.0
    for day, change in enumerate(random.standard_normal(DAYS - 1), start=1):
        mood[day] = 0.75 * mood[day - 1] + 0.66 * change
    mean = 52.5 + 11.5 * season + 4.2 * mood
    swing = np.clip(8.5 + 2.5 * season + 2.0 * random.standard_normal(DAYS), 3.0, None)
    wet = random.random(DAYS) < np.clip(0.38 - 0.1 * mood, 0.05, 0.9)
    rain = np.where(wet, np.round(np.minimum(random.gamma(0.6, 0.22, DAYS), 2.5), 2), 0.0)
    dew = mean - np.clip(8.0 + 2.5 * random.standard_normal(DAYS) - 5.0 * (rain > 0.05), 0.5, None)
    columns = {"prcp": rain, "max": mean + swing, "min": mean - swing, "temp": mean, "dewp": dew}
    return (
        {name: np.round(values, 2 if name == "prcp" else 1) for name, values in columns.items()},
        ((mean - 52.5) / 15.0),
        rain,
    )


def _distances(latitude: Floats, longitude: Floats) -> Floats:
    """Great-circle distances in metres between all pairs of points, by the haversine formula."""
    phi, theta = np.radians(latitude), np.radians(longitude)
    half = np.sin((phi[:, None] - phi) / 2) ** 2 + np.cos(phi[:, None]) * np.cos(phi) * (
        np.sin((theta[:, None] - theta) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS * np.arcsin(np.sqrt(half))


def _cumulative(weights: Floats) -> Floats:
    total = np.cumsum(weights, axis=-1)
    return total / total[..., -1:]
