"""What the bikes model reads and predicts: names, types and sizes, each said once.

A row is one bicycle hire in London together with that day's weather. The columns come in two groups: those that the
model reads (`MODEL_INPUTS`) and those that only describe the trip (coordinates, the bicycle), which it must not read.
The schema has the first and the label; a file need not have the others, and may have more.
Importing this module loads nothing else.
"""

from __future__ import annotations

from typing import Final

LABEL_KEY: Final = "duration"
"""Seconds from hire to return."""

COLUMNS: Final = (
    LABEL_KEY,
    "end_station_id",
    "bike_id",
    "ts",
    "day_of_week",
    "start_station_id",
    "start_latitude",
    "start_longitude",
    "end_latitude",
    "end_longitude",
    "euclidean",
    "loc_cross",
    "prcp",
    "max",
    "min",
    "temp",
    "dewp",
)
"""The columns of London's trips, in the order of the public files."""

DAY_OF_WEEK: Final = "day_of_week"
"""1 is Sunday and 7 is Saturday, as BigQuery counts them."""

TIMESTAMP: Final = "ts"
"""Start of the hire in seconds: London's wall clock read as if it were UTC.

TfL publishes start times as the clock on the wall shows them, and both the public BigQuery table and files made from
it label them UTC. The hour in London, summer time included, is therefore plain arithmetic on this number. A tf.Example
holds it as a 32-bit float, which is exact to 128 seconds.
"""

EUCLIDEAN: Final = "euclidean"
"""Metres between the stations as the crow flies; 0 where the bicycle came back to where it was hired."""

LOC_CROSS: Final = "loc_cross"
"""Both stations on a grid of 0.01 degrees: `POINT(longitude latitude)POINT(longitude latitude)`, start first."""

START_STATION: Final = "start_station_id"
END_STATION: Final = "end_station_id"

WEATHER: Final = ("prcp", "max", "min", "temp", "dewp")
"""The day's rain in inches; its highest, lowest and mean temperature and its dew point in degrees Fahrenheit."""

INTEGER_INPUTS: Final = (DAY_OF_WEEK, START_STATION, END_STATION)
"""Categories that files hold as integers. Requests give them as text, like every other category."""

FLOAT_INPUTS: Final = (TIMESTAMP, EUCLIDEAN, *WEATHER)

MODEL_INPUTS: Final = (*INTEGER_INPUTS, LOC_CROSS, *FLOAT_INPUTS)
"""The only columns that a prediction depends on."""

# What Transform makes of them.

DENSE: Final = "dense"
"""One float32 vector a row, of the `DENSE_COMPONENTS`, each of about unit scale; 0 where the value is missing."""

HARMONICS: Final = (1, 2, 3)
"""Waves a day: with three, the two rush hours and the lunch break between them can be told apart."""

DENSE_COMPONENTS: Final = (
    "log_euclidean",
    "euclidean",
    "round_trip",
    "weekend",
    *(f"{wave}_{turns}_a_day" for turns in HARMONICS for wave in ("sin", "cos")),
    "log_prcp",
    "max",
    "min",
    "temp",
    "dewp",
    "start_longitude_cell",
    "start_latitude_cell",
    "end_longitude_cell",
    "end_latitude_cell",
)

START_CELL: Final = "start_cell"
END_CELL: Final = "end_cell"

MIN_COUNT: Final = 2
"""A category seen less often than this in training shares one out-of-vocabulary entry with those never seen."""

STATION_VOCABULARY: Final = "stations"
CELL_VOCABULARY: Final = "cells"
CROSS_VOCABULARY: Final = "crosses"

CATEGORIES: Final = "categories"
"""One int64 vector a row: for each of `CATEGORY_SIZES`, in its order, a position in its vocabulary."""

CATEGORY_SIZES: Final[dict[str, int]] = {
    DAY_OF_WEEK: 8,
    START_STATION: 1_025,
    END_STATION: 1_025,
    START_CELL: 513,
    END_CELL: 513,
    LOC_CROSS: 8_193,
}
"""How many values each category can take: the longest vocabulary, and 0 for whatever is not in it.

Fixed, and not read from a vocabulary, so that a model can be built before Transform has run. Start and end share a
vocabulary. The crosses come last, as the deep part of the network leaves them out.
"""
