"""The files of a search: what is written is read back, and what is no record is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from custom_components.distributed_tuner import patches
from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.record import SearchRecord
from custom_components.distributed_tuner.record_file import RecordFile
from custom_components.distributed_tuner.search_dir import SearchDir, record_from_json, record_to_json
from tests.custom_components.distributed_tuner.records import any_search, search, trial


@given(any_search())
def test_a_record_survives_json(record: SearchRecord) -> None:
    assert record_from_json(json.loads(patches.dumps(record_to_json(record)))) == record


def test_a_record_is_stored_and_absent_before(tmp_path: Path) -> None:
    directory = SearchDir(tmp_path)
    assert directory.read_record() is None
    record = search(trial("0", 1.0, x=1), trial("1", float("inf")))
    RecordFile(directory.record).write(record)
    assert directory.read_record() == record


@pytest.mark.parametrize(
    "change",
    [
        {"direction": "sideways"},
        {"trials": [{"trial_id": "0"}]},
        {"trials": None},
        {"unknown": 1},
        {"trials": [{"trial_id": "0", "status": "RUNNING", "hyperparameters": {}, "stays": [["worker-0", 1.0]]}]},
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptState, match="this is no record of a search"):
        record_from_json({**record_to_json(search()), **change})


def test_the_first_reason_for_giving_up_stays(tmp_path: Path) -> None:
    directory = SearchDir(tmp_path)
    assert directory.read_error() is None
    directory.write_error("chief", "the disk is full", "Traceback …")
    directory.write_error("worker-0", "no chief")
    assert directory.read_error() == ("chief", "the disk is full", "Traceback …")


def test_everything_lies_under_the_root(tmp_path: Path) -> None:
    directory = SearchDir(tmp_path / "deep" / "search")
    directory.create()
    directory.create()
    assert directory.log("worker-3") == directory.root / "logs" / "worker-3.log"
    names = (directory.lock, directory.spec, directory.journal, directory.chief, directory.record, directory.error)
    assert len(set(names)) == len(names) and all(path.parent == directory.root for path in names)
