"""Prepares the input data: generates the sample if no file is given, and checks the file before TFX reads it."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

from tfx_pipeline.data import csv_check
from tfx_pipeline.data.csv_check import Contents
from tfx_pipeline.errors import DataError
from tfx_pipeline.location import Location
from tfx_pipeline.settings import Settings, Source

_BLOCK_BYTES = 2**20


def prepare(settings: Settings) -> Contents | None:
    """Prepares and checks what a run will read; returns None if it is not known beforehand (BigQuery).

    Raises:
      DataError: the file is missing or does not fit the schema.
    """
    if settings.source is not Source.CSV:
        return None
    if settings.csv.remote:
        return _checked(settings.csv, settings.schema_path)
    path = Path(settings.csv)
    if settings.data is None and not path.exists():
        from tfx_pipeline.data import sample_data  # Only here: pandas takes half a second to load.

        path.parent.mkdir(parents=True, exist_ok=True)
        sample_data.write_csv(path, settings.sample_rows, settings.sample_seed)
    try:
        state = path.stat()
    except OSError:  # For the check to report.
        return csv_check.check(path, csv_check.columns_of(settings.schema_path))
    return _checked(settings.csv, settings.schema_path, state.st_size, state.st_mtime_ns)


@functools.cache
def _checked(place: Location, schema_path: Path, size: int = 0, modified: int = 0) -> Contents:
    """The result of the check, cached while the file is unchanged: two parts of a run ask for it."""
    columns = csv_check.columns_of(schema_path)
    return (
        csv_check.check_lines(place, _lines(place), columns) if place.remote else csv_check.check(Path(place), columns)
    )


def _lines(address: Location) -> Iterator[bytes]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # Otherwise TensorFlow prints a greeting.
    import tensorflow as tf  # Only here: it takes seconds to load.

    try:
        with tf.io.gfile.GFile(address, "rb") as file:
            rest = b""
            # Its line iterator ends, without an error, if the bucket refuses.
            while block := file.read(_BLOCK_BYTES):
                *lines, rest = (rest + block).split(b"\n")
                yield from (line + b"\n" for line in lines)
            if rest:
                yield rest
    except tf.errors.NotFoundError:
        raise DataError(f"{address}: there is no such object (DATA)") from None
    except tf.errors.OpError as error:
        raise DataError(f"{address}: cannot be read: {error.message} (DATA)") from None
