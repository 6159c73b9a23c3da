"""The search in keras-tuner's own files, and the saved states of trials that have ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from custom_components.distributed_tuner.chief.project_files import ProjectFiles
from custom_components.distributed_tuner.storage.local import LocalStorage


def save_epoch(root: Path, trial_id: str) -> Path:
    """A worker saves the state of a trial."""
    folder = root / f"trial_{trial_id}" / "resume" / "attempt_0"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    return folder.parent


def test_trials_that_changed_and_the_oracle_are_written(tmp_path: Path) -> None:
    project = ProjectFiles(LocalStorage(tmp_path), "project")
    project.update({"0": {"status": "RUNNING"}, "1": {"status": "RUNNING"}})
    project.update({"0": {"status": "COMPLETED"}})
    project.write('{"seed":1}')
    stored = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("project/*/trial.json")}
    assert stored == {"trial_0": {"status": "COMPLETED"}, "trial_1": {"status": "RUNNING"}}
    assert json.loads((tmp_path / "project" / "oracle.json").read_text()) == {"seed": 1}


def test_what_could_not_be_written_is_written_later_and_what_is_newer_stays(tmp_path: Path) -> None:
    project = ProjectFiles(LocalStorage(tmp_path), "project")
    obstacle = tmp_path / "project"
    obstacle.touch()
    project.update({"0": {"status": "RUNNING"}, "1": {"status": "RUNNING"}})
    with pytest.raises(OSError):
        project.write('{"seed":1}')
    project.update({"1": {"status": "COMPLETED"}})
    obstacle.unlink()
    project.write(None)
    stored = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("project/*/trial.json")}
    assert stored == {"trial_0": {"status": "RUNNING"}, "trial_1": {"status": "COMPLETED"}}
    assert json.loads((tmp_path / "project" / "oracle.json").read_text()) == {"seed": 1}


def test_the_state_of_a_trial_that_ended_is_removed_and_no_other(tmp_path: Path) -> None:
    project = ProjectFiles(LocalStorage(tmp_path), ".")
    ended, running = save_epoch(tmp_path, "0"), save_epoch(tmp_path, "1")
    checkpoint = tmp_path / "trial_0" / "checkpoint.index"
    checkpoint.touch()
    project.write(None)
    assert ended.exists()
    project.ended(["0"])
    project.write(None)
    assert not ended.exists() and running.exists() and checkpoint.exists()
    save_epoch(tmp_path, "0")  # by a worker that was thought dead
    project.close()
    assert not ended.exists() and running.exists()


def test_a_state_that_cannot_be_removed_is_told_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = save_epoch(tmp_path, "0").rename(tmp_path / "elsewhere")
    (tmp_path / "trial_0" / "resume").symlink_to(target)  # which is no folder to be removed
    project = ProjectFiles(LocalStorage(tmp_path), ".")
    project.ended(["0"])
    project.update({"0": {"status": "COMPLETED"}})
    project.write(None)
    assert json.loads((tmp_path / "trial_0" / "trial.json").read_text()) == {"status": "COMPLETED"}
    assert "the saved state of trial 0 could not be removed" in caplog.text
