"""Makes the input data ready: generates the sample where no file is given, and looks at the file before TFX does."""

from __future__ import annotations

import functools
from pathlib import Path

from tfx_pipeline import csv_check
from tfx_pipeline.csv_check import Contents
from tfx_pipeline.settings import Settings, Source


def prepare(settings: Settings) -> Contents | None:
    """Returns what a run will read; None where that is not known beforehand (BigQuery).

    Raises:
      DataError: the file is missing or not what the schema asks for.
    """
    if settings.source is not Source.CSV:
        return None
    if settings.data is None and not settings.csv.exists():
        from tfx_pipeline import sample_data  # Only here: pandas takes half a second to load.

        settings.csv.parent.mkdir(parents=True, exist_ok=True)
        sample_data.write_csv(settings.csv, settings.sample_rows, settings.sample_seed)
    try:
        state = settings.csv.stat()
    except OSError:  # For the check to tell.
        return csv_check.check(settings.csv, csv_check.columns_of(settings.schema_path))
    return _checked(settings.csv, settings.schema_path, state.st_size, state.st_mtime_ns)


@functools.cache
def _checked(path: Path, schema_path: Path, size: int, modified: int) -> Contents:
    """The check of a file that has not changed, which is read once though two parts of a run ask for it."""
    return csv_check.check(path, csv_check.columns_of(schema_path))
