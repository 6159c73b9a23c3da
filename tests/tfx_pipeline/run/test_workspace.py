"""The directory of the runs: locks, refusals of the file system, and settings of a rerun."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfx_pipeline.errors import BusyError, ExitCode, SettingsError, StorageError
from tfx_pipeline.run import workspace
from tfx_pipeline.settings import PROJECT, Settings, load

HOLD = """
import sys
from tfx_pipeline.run import workspace
from tfx_pipeline.settings import load
with workspace.locked(load({"RUNS_DIR": sys.argv[1], "RUN_ID": "first"})):
    print("held", flush=True)
    sys.stdin.read()
"""


def at(directory: Path, **more: str) -> Settings:
    return load({"RUNS_DIR": str(directory), "RUN_ID": "r", **more})


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=rf"run first since .*, process {holder.pid}") as raised:
            workspace.locked(at(tmp_path)).__enter__()
        assert str(tmp_path) in str(raised.value)
        assert raised.value.exit_code == ExitCode.BUSY
    finally:
        holder.kill()
        holder.communicate()
    with workspace.locked(at(tmp_path)):  # A killed holder leaves nothing behind that locks.
        pass


def test_the_same_thread_may_lock_again(tmp_path: Path) -> None:
    with workspace.locked(at(tmp_path)), workspace.locked(at(tmp_path)):
        pass


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written.*RUNS_DIR"):
        workspace.check_usable(tmp_path / "runs")


def test_a_directory_that_cannot_be_written() -> None:
    with pytest.raises(StorageError, match=r"^/proc/.*cannot be written"):
        workspace.check_usable(Path("/proc/runs"))


def test_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "run.partial").symlink_to("/dev/full")  # Each write to it meets a full disk.
    with pytest.raises(StorageError, match=r"No space left on device; make room"), workspace.locked(at(tmp_path)):
        pytest.fail("the lock was taken")


def test_too_little_room(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"only \d+ MB are free.*make room"):
        workspace.check_usable(tmp_path, min_free=2**62)


def test_a_rerun_must_have_the_same_settings(tmp_path: Path) -> None:
    workspace.remember(at(tmp_path, TRIALS="8"))
    workspace.remember(at(tmp_path, TRIALS="8", WORKERS="7", ENGINE="beam"))
    with pytest.raises(SettingsError, match="TRIALS was 8, now 9") as raised:
        workspace.remember(at(tmp_path, TRIALS="9"))
    assert "RUN_ID" in str(raised.value)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"SAMPLE_ROWS": "500"}, {"DATA": "/t.csv"}, "DATA was None, now '/t.csv'"),
        ({"DATA": "/t.csv"}, {"SAMPLE_ROWS": "500"}, "DATA was '/t.csv', now None"),
        ({"DATA": "/t.csv"}, {"DATA": "/u.csv", "SAMPLE_ROWS": "500"}, "DATA was '/t.csv', now '/u.csv'"),
        ({"DATA": "/t.csv"}, {"DATA": "/t.csv", "SAMPLE_SEED": "7", "KUBEFLOW_IMAGE": "other"}, None),
        (
            {},
            {"SOURCE": "bigquery", "BIGQUERY_PROJECT": "p", "BIGQUERY_TEMP": "gs://b/t", "SAMPLE_ROWS": "500"},
            "SOURCE was 'csv', now 'bigquery'",
        ),
    ],
)
def test_a_setting_without_effect_is_no_difference(
    tmp_path: Path, first: dict[str, str], second: dict[str, str], told: str | None
) -> None:
    workspace.remember(at(tmp_path, **first))
    if told is None:
        workspace.remember(at(tmp_path, **second))
    else:
        with pytest.raises(SettingsError, match=rf"other settings: {re.escape(told)}\. Go on"):
            workspace.remember(at(tmp_path, **second))


def test_a_pipeline_is_of_one_model(tmp_path: Path) -> None:
    first = at(tmp_path, PIPELINE_NAME="mine")
    workspace.remember(first)
    other = first.copy(update={"model": "other", "run_id": "s"})
    with pytest.raises(SettingsError, match=r"PIPELINE_NAME=mine is the pipeline of MODEL=bikes .* MODEL=other"):
        workspace.remember(other)
    workspace.remember(other.copy(update={"pipeline_name": "another"}))


def test_artifacts_that_the_metadata_does_not_know_are_not_written_over(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "Trainer_1" / "model" / "9").mkdir(parents=True)
    settings = at(tmp_path / "runs", PIPELINE_ROOT=str(root))
    with pytest.raises(SettingsError, match=rf"{root} \(PIPELINE_ROOT\) holds artifacts of another pipeline"):
        workspace.remember(settings)
    settings.metadata_path.parent.mkdir(parents=True)
    settings.metadata_path.touch()
    workspace.remember(settings)
