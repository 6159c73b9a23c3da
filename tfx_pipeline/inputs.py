"""Makes the input data ready: generates the sample where no file is given, and looks at the file before TFX does."""

from __future__ import annotations

from tfx_pipeline import csv_check
from tfx_pipeline.settings import Settings, Source


def prepare(settings: Settings) -> int | None:
    """Returns the number of rows that a run will read; None where that is not known beforehand (BigQuery).

    Raises:
      DataError: the file is missing or not what the schema asks for.
    """
    if settings.source is not Source.CSV:
        return None
    if settings.data is None and not settings.csv.exists():
        from tfx_pipeline import sample_data  # Only here: pandas takes half a second to load.

        settings.csv.parent.mkdir(parents=True, exist_ok=True)
        sample_data.write_csv(settings.csv, settings.sample_rows, settings.sample_seed)
    return csv_check.check(settings.csv, csv_check.columns_of(settings.schema_path))
