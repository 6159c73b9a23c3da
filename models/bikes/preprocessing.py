"""All feature work of the bikes model: raw columns in, what the layers read out, as one TensorFlow graph.

Transform computes means and vocabularies over the training data and freezes them into the graph, which the exported
model then applies to each request: training and serving cannot drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import tensorflow as tf
import tensorflow_transform as tft

from models.bikes import features

_DAY = 86_400.0
_WEEKEND = (1, 7)
_NUMBER = r"(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"
_POINT = rf"POINT\({_NUMBER} {_NUMBER}\)"
_CROSS = rf"^({_POINT})({_POINT})$"
# Groups of _CROSS.
_START_CELL, _START_LONGITUDE, _START_LATITUDE, _END_CELL, _END_LONGITUDE, _END_LATITUDE = range(1, 7)
_ORIGIN = "POINT(0 0)POINT(0 0)"

Column: TypeAlias = "tf.Tensor | tf.SparseTensor"


def preprocessing_fn(inputs: Mapping[str, Column]) -> dict[str, tf.Tensor]:
    """Transform's entry point.

    A missing, NaN or malformed value costs a row its information, never the row: numbers then stand at the training
    mean, categories at the out-of-vocabulary entry.

    Args:
      inputs: columns of the schema, one value or none a row; sparse of shape [rows, 1 or 0], or dense of shape [rows]
        or [rows, 1]. Columns outside `features.MODEL_INPUTS` are not read.

    Returns:
      `features.DENSE`: float32 of shape [rows, len(DENSE_COMPONENTS)]. `features.CATEGORIES`: int64 of shape
      [rows, len(CATEGORY_SIZES)]. The label in seconds: float32 of shape [rows, 1].
    """
    numbers = {name: _number(inputs[name]) for name in features.FLOAT_INPUTS}
    day = _integer(inputs[features.DAY_OF_WEEK])
    cross = _text(inputs[features.LOC_CROSS])
    dense = _dense(numbers, day, cross)
    categories = _categories(inputs, day, cross)
    return {
        features.LABEL_KEY: _number(inputs[features.LABEL_KEY])[:, None],
        features.DENSE: tf.stack([dense[name] for name in features.DENSE_COMPONENTS], axis=1),
        features.CATEGORIES: tf.stack([categories[name] for name in features.CATEGORY_SIZES], axis=1),
    }


def _dense(numbers: Mapping[str, tf.Tensor], day: tf.Tensor, cross: tf.Tensor) -> dict[str, tf.Tensor]:
    distance = tf.maximum(numbers[features.EUCLIDEAN], 0.0)
    rain = tf.maximum(numbers["prcp"], 0.0)
    # Tenths of an inch: the logarithm then tells drizzle from a downpour.
    values = {
        "log_euclidean": tf.math.log1p(distance),
        "euclidean": distance,
        "log_prcp": tf.math.log1p(10.0 * rain),
        **{name: numbers[name] for name in features.WEATHER if name != "prcp"},
        "start_longitude_cell": _coordinate(cross, _START_LONGITUDE),
        "start_latitude_cell": _coordinate(cross, _START_LATITUDE),
        "end_longitude_cell": _coordinate(cross, _END_LONGITUDE),
        "end_latitude_cell": _coordinate(cross, _END_LATITUDE),
    }
    # One matrix, and so one analysis for all of them, which is several times faster than one each.
    matrix = _known(tft.scale_to_z_score(tf.stack(list(values.values()), axis=1), elementwise=True))
    scaled = dict(zip(values, tf.unstack(matrix, axis=1), strict=True))
    scaled["round_trip"] = tf.cast(tf.equal(distance, 0.0), tf.float32)
    scaled["weekend"] = tf.cast(tf.reduce_any([tf.equal(day, each) for each in _WEEKEND], axis=0), tf.float32)
    # 64 bits: seconds since 1970 have more digits than a 32-bit float.
    angle = tf.cast(tf.math.floormod(tf.cast(numbers[features.TIMESTAMP], tf.float64), _DAY), tf.float32)
    angle *= 2.0 * math.pi / _DAY
    for turns in features.HARMONICS:
        scaled[f"sin_{turns}_a_day"] = _known(tf.sin(turns * angle))
        scaled[f"cos_{turns}_a_day"] = _known(tf.cos(turns * angle))
    return scaled


def _categories(inputs: Mapping[str, Column], day: tf.Tensor, cross: tf.Tensor) -> dict[str, tf.Tensor]:
    stations = {name: _integer(inputs[name]) for name in (features.START_STATION, features.END_STATION)}
    # Vocabularies leave out empty text, so that what is missing can never become an entry of its own.
    cells = {
        name: tf.where(_is_cross(cross), tf.strings.regex_replace(cross, _CROSS, rf"\{group}"), "")
        for name, group in ((features.START_CELL, _START_CELL), (features.END_CELL, _END_CELL))
    }
    names = {name: tf.where(station < 0, "", tf.strings.as_string(station)) for name, station in stations.items()}
    return {
        features.DAY_OF_WEEK: tf.where((day >= 1) & (day <= 7), day, 0),
        **_indexed(names, features.STATION_VOCABULARY),
        **_indexed(cells, features.CELL_VOCABULARY),
        **_indexed({features.LOC_CROSS: cross}, features.CROSS_VOCABULARY),
    }


def _indexed(columns: Mapping[str, tf.Tensor], vocabulary: str) -> dict[str, tf.Tensor]:
    """Columns of text as positions, from 1, in a vocabulary that they share; 0 for what is rare, unknown or missing."""
    # The longest vocabulary leaves room for the one entry that is not in it.
    longest = min(features.CATEGORY_SIZES[name] for name in columns) - 1
    table = tft.vocabulary(
        tf.concat(list(columns.values()), axis=0),
        top_k=longest,
        frequency_threshold=features.MIN_COUNT,
        vocab_filename=vocabulary,
    )
    return {name: tft.apply_vocabulary(text, table, default_value=-1) + 1 for name, text in columns.items()}


def _coordinate(cross: tf.Tensor, group: int) -> tf.Tensor:
    """A coordinate out of `loc_cross` in degrees, float32 of shape [rows]; NaN where the text has another form."""
    # Both branches of a tf.where are computed, and parsing must not fail in either.
    well_formed = tf.where(_is_cross(cross), cross, _ORIGIN)
    degrees = tf.strings.to_number(tf.strings.regex_replace(well_formed, _CROSS, rf"\{group}"))
    return tf.where(_is_cross(cross), degrees, math.nan)


def _is_cross(cross: tf.Tensor) -> tf.Tensor:
    return tf.strings.regex_full_match(cross, _CROSS)


def _known(values: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.math.is_finite(values), values, 0.0)


def _number(column: Column) -> tf.Tensor:
    """Float32 of shape [rows], NaN where missing; Transform's analyzers leave NaN out."""
    return _filled(tf.cast(column, tf.float32), math.nan)


def _integer(column: Column) -> tf.Tensor:
    """Int64 of shape [rows], -1 where missing."""
    return _filled(tf.cast(column, tf.int64), -1)


def _text(column: Column) -> tf.Tensor:
    """Strings of shape [rows], empty where missing."""
    return _filled(column, "")


def _filled(column: Column, default: float | int | str) -> tf.Tensor:
    if isinstance(column, tf.SparseTensor):
        column = tf.sparse.to_dense(
            tf.SparseTensor(column.indices, column.values, [column.dense_shape[0], 1]), default_value=default
        )
    return tf.reshape(column, [-1])
