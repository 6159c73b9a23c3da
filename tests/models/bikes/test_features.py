"""The names, and what they must agree with."""

from __future__ import annotations

import subprocess
import sys

from models.bikes import features, offline


def test_the_schema_describes_the_label_and_what_the_model_reads_in_the_order_of_the_columns() -> None:
    needed = {features.LABEL_KEY, *features.MODEL_INPUTS}
    described = [feature.name for feature in offline.read_schema().feature]
    assert described == [name for name in features.COLUMNS if name in needed]
    assert set(described) == needed


def test_the_model_reads_columns_only() -> None:
    assert set(features.MODEL_INPUTS) < set(features.COLUMNS) - {features.LABEL_KEY}


def test_the_model_does_not_read_what_gives_the_label_away() -> None:
    # Durations of rows without a bicycle are whole minutes: the column says something about the label's rounding.
    assert "bike_id" not in features.MODEL_INPUTS


def test_names_load_without_tensorflow() -> None:
    code = "import sys, models.bikes.features, models.bikes.options; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
