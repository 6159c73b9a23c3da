"""Input data that is looked at before a run: here, in a bucket. Files on this machine: test_csv_check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.harness.gcs.fixtures import Gcs, gcs
from tfx_pipeline.data import inputs, sample_data
from tfx_pipeline.settings import PROJECT, load

__all__ = ["gcs"]

# In a process of its own: TensorFlow's file system keeps what it knows of the environment.
LOOK = """
import sys

from tfx_pipeline import errors, settings
from tfx_pipeline.data import inputs

for name in sys.argv[1:]:
    try:
        print(inputs.prepare(settings.load({"DATA": f"gs://bucket/data/{name}"})).rows)
    except errors.DataError as error:
        print(error)
"""


def test_a_file_in_a_bucket_is_checked_as_one_on_this_machine(gcs: Gcs, tmp_path: Path) -> None:
    sample_data.write_csv(tmp_path / "good.csv", 150)
    header, *rows = (tmp_path / "good.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "bad.csv").write_text("".join([header, *rows[:9], "1,2\n", *rows[9:]]), encoding="utf-8")
    gcs.upload(tmp_path, "data")
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, "good.csv", "bad.csv", "absent.csv"],
        cwd=PROJECT,
        env={**gcs.environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    good, bad, absent = ended.stdout.splitlines()
    assert good == "150"
    assert bad == "gs://bucket/data/bad.csv, line 11: has 2 fields, but the header names 17 columns"
    assert absent == "gs://bucket/data/absent.csv: there is no such object (DATA)"
    assert "oneDNN" not in ended.stderr


def test_the_sample_is_made_once_and_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    settings = load({"RUNS_DIR": str(tmp_path), "SAMPLE_ROWS": "200"})
    first = inputs.prepare(settings)
    assert first is not None and first.rows == 200
    assert inputs.prepare(settings) is first
    lines = Path(settings.csv).read_text(encoding="utf-8").splitlines(keepends=True)
    Path(settings.csv).write_text("".join(lines[:-1]), encoding="utf-8")
    again = inputs.prepare(settings)
    assert again is not None and again.rows == 199
