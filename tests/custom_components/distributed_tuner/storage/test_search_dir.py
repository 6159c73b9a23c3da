"""The files of a search: what is written is read back, and what is no record is refused."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.chief.record_file import RecordFile
from custom_components.distributed_tuner.errors import CorruptState, SearchError
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.record.record_json import record_from_json, record_to_json
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage import journal
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner.records import any_search, search, trial


@given(any_search())
def test_a_record_survives_json(record: SearchRecord) -> None:
    assert record_from_json(json.loads(encoding.dumps(record_to_json(record)))) == record


def test_a_record_is_stored_and_absent_before(tmp_path: Path) -> None:
    directory = SearchDir(tmp_path)
    assert directory.read_record() is None
    record = search(trial("0", 1.0, x=1), trial("1", float("inf")))
    RecordFile(directory.storage).write(record)
    assert directory.read_record() == record


@pytest.mark.parametrize("name", ["br[x]", "st*r", "wh?t", "back\\slash"])
def test_a_directory_that_tensorflow_takes_for_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SearchError, match="takes such a path for a pattern") as refused:
        SearchDir(tmp_path / name / "searches").create()
    assert "\n" not in str(refused.value) and not list(tmp_path.iterdir())
    SearchDir(tmp_path / "sp ace, ü {and} ~others!").create()


ANY = search(trial("0", 1.0, x=1))


def changed(place: str, value: Any) -> Any:
    """The JSON of a record with another value at a place such as `trials.0.score`; REMOVED takes it away."""
    data = json.loads(encoding.dumps(record_to_json(ANY)))
    *path, last = [int(name) if name.isdigit() else name for name in place.split(".")]
    inner = data
    for name in path:
        inner = inner[name]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    return data


REMOVED = object()


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("name", 1, "name is 1, not a text"),
        ("objective", None, "objective is None, not a text"),
        ("direction", "sideways", "direction is 'sideways', not one of min, max"),
        ("direction", [], "direction is [], not one of min, max"),
        ("max_trials", "10", "max_trials is '10', not a number"),
        ("started", "x", "started is 'x', not a number"),
        ("started", True, "started is True, not a number"),
        ("started", float("inf"), "started is inf, not a time"),
        ("started", -1e300, "not a time"),
        ("started", REMOVED, "started is missing"),
        ("ended", {}, "ended is {}, not a number"),
        ("stop_reason", 7, "stop_reason is 7, not a text"),
        ("unknown", 1, "unknown is not known"),
        ("trials", None, "trials is None, not a list"),
        ("trials", {"0": {}}, "trials is {'0': {}}, not a list"),
        ("trials.0", [], "trials[0] is [], not an object"),
        ("trials.0.trial_id", 0, "trials[0].trial_id is 0, not a text"),
        ("trials.0.status", "LOST", "trials[0].status is 'LOST', not one of RUNNING"),
        ("trials.0.status", REMOVED, "trials[0].status is missing"),
        ("trials.0.hyperparameters", [], "trials[0].hyperparameters is [], not an object"),
        ("trials.0.hyperparameters.x", [1], "trials[0].hyperparameters.x is [1], not a number, a text, true or false"),
        ("trials.0.score", "high", "trials[0].score is 'high', not a number"),
        ("trials.0.best_step", 1.5, "trials[0].best_step is 1.5, not a whole number"),
        ("trials.0.epochs", None, "trials[0].epochs is None, not a whole number"),
        ("trials.0.epochs", True, "trials[0].epochs is True, not a whole number"),
        ("trials.0.message", ["x" * 100], "trials[0].message is ['xxxx"),
        ("trials.0.stays", "none", "trials[0].stays is 'none', not a list"),
        ("trials.0.stays.0", ["worker-0", 1.0], "trials[0].stays[0] is ['worker-0', 1.0], not a list of 4 values"),
        ("trials.0.stays.0.0", None, "trials[0].stays[0][0] is None, not a text"),
        ("trials.0.stays.0.1", None, "trials[0].stays[0][1] is None, not a number"),
        ("trials.0.stays.0.2", "now", "trials[0].stays[0][2] is 'now', not a number"),
        ("trials.0.stays.0.3", "eaten", "trials[0].stays[0][3] is 'eaten', not one of running"),
    ],
)
def test_what_is_no_record_is_told_by_file_and_place(tmp_path: Path, place: str, value: Any, told: str) -> None:
    directory = SearchDir(tmp_path)
    directory.record.write_text(json.dumps(changed(place, value)))
    with pytest.raises(CorruptState) as damage:
        directory.read_record()
    message = str(damage.value)
    assert message.startswith(f"{directory.record} is damaged: this is no record of a search: ")
    assert told in message and "run the same run id again" in message and len(message) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("data", [[], "text", 3, True])
def test_what_is_no_object_is_no_record(data: Any) -> None:
    with pytest.raises(CorruptState, match=r"this is no record of a search: the whole is .*, not an object"):
        record_from_json(data)


def test_an_oracles_own_entries_may_be_anything() -> None:
    values: Any = [1, {"n": None}]
    record = search(trial("0", 1.0, x=1, **{"tuner/rounds": values}))
    assert record_from_json(json.loads(encoding.dumps(record_to_json(record)))) == record


@pytest.mark.parametrize("content", [b"", b'{"name": "se', bytes(range(256))])
def test_a_record_that_is_half_written_or_no_text_is_told_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    directory = SearchDir(tmp_path)
    directory.record.write_bytes(content)
    with pytest.raises(CorruptState, match=r"record\.json is damaged: it holds no JSON: .*run the same run id again"):
        directory.read_record()


@pytest.mark.parametrize("depth", [300, 900, 100_000])
@pytest.mark.parametrize("ends", [("[", "]"), ('{"a":', "}"), ('{"trials":[', "]}"), ('{"process":[', "]}")])
def test_what_is_nested_without_end_is_told_as_damage(tmp_path: Path, ends: tuple[str, str], depth: int) -> None:
    deep = (ends[0] * depth + "1" + ends[1] * depth).encode()
    directory = SearchDir(tmp_path)
    for path in (directory.record, directory.error, directory.spec, directory.chief):
        path.write_bytes(deep)
    directory.journal.write_bytes(b"%08x %b\n" % (zlib.crc32(deep), deep))
    with pytest.raises(CorruptState, match=r"record\.json is damaged"):
        directory.read_record()
    with pytest.raises(CorruptState, match=r"error\.json is damaged"):
        directory.read_error()
    with pytest.raises(SearchError, match=r"search\.json is damaged"):
        SearchSpec.read(directory.storage)
    assert directory.read_address() is None
    if depth > 1000:
        with pytest.raises(CorruptState, match="journal, line 1: the stored search is damaged"):
            list(journal.read(directory.journal))


@pytest.mark.parametrize("data", [[], {}, {"process": "chief", "message": None, "traceback": ""}, "x"])
def test_what_is_no_reason_for_giving_up_is_told(tmp_path: Path, data: Any) -> None:
    directory = SearchDir(tmp_path)
    directory.error.write_text(json.dumps(data))
    with pytest.raises(CorruptState, match=r"error\.json is damaged: .* is .*\. Restore it"):
        directory.read_error()


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
