"""What a chief stored, the next one finds."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.chief.durable_state import DurableState
from custom_components.distributed_tuner.chief.record_file import RecordFile
from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.record.record import Direction
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner.records import search, trial


def state(trial_id: str, score: float | None, status: str = "COMPLETED") -> dict[str, Any]:
    return {"trial_id": trial_id, "score": score, "status": status}


def patch(*trials: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"state": changes, "trials": {trial["trial_id"]: trial for trial in trials}}


class Held(Future[None]):
    """Tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def result(self, timeout: float | None = None) -> None:
        self.asked.set()
        return super().result(timeout)


@pytest.fixture
def directory(tmp_path: Path) -> SearchDir:
    made = SearchDir(tmp_path)
    made.create()
    return made


def test_transitions_come_back_merged(directory: SearchDir) -> None:
    async def write() -> None:
        store = DurableState(directory, "project")
        store.open()
        store.append(
            {"trials": {"0": {"n": 1}}, "study": {"ended": None}}, patch(state("0", None), order=["set", ["0"]])
        )
        store.append({"results": {"0": {"attempt": 0, "succeeded": True}}})
        await store.append({"trials": {"0": {"n": 2}}}, patch(state("0", 1.5), order=["append", ["1"]]))
        store.close()

    asyncio.run(write())
    store = DurableState(directory, "project")
    stored = store.open()
    store.close()
    assert stored.study == {"trials": {"0": {"n": 2}}, "study": {"ended": None}}
    assert stored.oracle == {"order": ["0", "1"]}
    assert stored.results == {"0": {"attempt": 0, "succeeded": True}}
    assert store.trials == {"0": state("0", 1.5)}


def test_an_empty_transition_waits_for_those_before_it_and_is_not_stored(directory: SearchDir) -> None:
    async def write() -> None:
        store = DurableState(directory, "project")
        store.open()
        await store.append({})
        assert directory.journal.read_bytes() == b""
        store.append({"trials": {"0": {"n": 1}}})
        await store.append({}, patch())
        assert directory.journal.read_bytes().count(b"\n") == 1
        store.close()

    asyncio.run(write())


def test_one_caller_who_goes_away_leaves_the_others_their_answer(directory: SearchDir) -> None:
    async def write() -> None:
        store = DurableState(directory, "project")
        store.open()
        callers = [asyncio.ensure_future(store.append({"trials": {str(n): {}}})) for n in range(3)]
        callers[0].cancel()
        await asyncio.wait_for(asyncio.gather(*callers[1:]), 30.0)
        store.close()

    asyncio.run(write())


@pytest.mark.parametrize(("direction", "best"), [(Direction.MIN, ["1", "0"]), (Direction.MAX, ["2", "0"])])
def test_the_best_are_never_padded_with_others(directory: SearchDir, direction: Direction, best: list[str]) -> None:
    store = DurableState(directory, "project")
    trials = [state("0", 2.0), state("1", 1.0), state("2", 3.0), state("3", None, "FAILED")]
    store.trials = {trial["trial_id"]: trial for trial in trials}
    assert [trial["trial_id"] for trial in store.best(2, direction)] == best
    assert len(store.best(9, direction)) == 3


@pytest.mark.parametrize("again", [False, True])
def test_saved_epochs_go_when_the_trials_end_is_on_the_disk(directory: SearchDir, again: bool) -> None:
    saved = [directory.root / "project" / f"trial_{number}" / "resume" for number in range(2)]

    async def write() -> None:
        store = DurableState(directory, "project")
        store.open()
        await store.append({"trials": {}}, patch(state("0", 1.5), state("1", None, "RUNNING")))
        if not again:
            store.write_files(search(), None)
        store.close()

    async def once_more() -> None:
        store = DurableState(directory, "project")
        store.open()
        store.close()

    if again:
        asyncio.run(write())
    for path in saved:
        path.mkdir(parents=True)
    asyncio.run(once_more() if again else write())
    assert [path.exists() for path in saved] == [False, True]


def test_files_for_others_hold_what_was_stored(directory: SearchDir) -> None:
    async def write() -> None:
        store = DurableState(directory, "project")
        store.open()
        await store.append({"trials": {"0": {}}}, patch(state("0", 1.5)))
        store.write_files(search(trial("0", 1.5)), '{"seed":1}')
        store.close()

    asyncio.run(write())
    project = directory.root / "project"
    assert json.loads((project / "trial_0" / "trial.json").read_text()) == state("0", 1.5)
    assert json.loads((project / "oracle.json").read_text()) == {"seed": 1}
    assert directory.read_record() == search(trial("0", 1.5))


def test_files_for_others_tell_nothing_that_is_not_on_the_disk(directory: SearchDir) -> None:
    async def write() -> None:
        store = DurableState(directory, "project")
        store.open()
        await store.append({"trials": {"0": {}}}, patch(state("0", None)))
        store.append({"results": {"0": {}}})
        held = store._written = Held()  # a disk that takes its time
        writing = asyncio.get_running_loop().run_in_executor(None, store.write_files, search(trial("0", 1.5)), None)
        assert await asyncio.to_thread(held.asked.wait, 30.0)
        assert directory.read_record() is None
        held.set_result(None)
        await asyncio.wait_for(writing, 30.0)
        assert directory.read_record() == search(trial("0", 1.5))
        store.close()

    asyncio.run(write())


@pytest.mark.parametrize("lost", ["missing", "empty", "torn"])
def test_a_journal_that_was_lost_is_told_and_no_new_search_takes_its_place(directory: SearchDir, lost: str) -> None:
    RecordFile(directory.storage).write(search(trial("0", 1.5), trial("1", 2.5)))
    if lost != "missing":
        directory.journal.write_bytes(b"1234abcd {" if lost == "torn" else b"")
    before = {path: path.read_bytes() for path in directory.root.iterdir() if path.is_file()}
    word = "missing" if lost == "missing" else "empty"
    with pytest.raises(CorruptState, match=f"{directory.journal} is {word}, but {directory.record} tells of 2 trials"):
        DurableState(directory, "project").open()
    assert {path: path.read_bytes() for path in directory.root.iterdir() if path.is_file()} == before


def test_no_journal_with_a_damaged_record_is_told_too(directory: SearchDir) -> None:
    directory.record.write_text("{half")
    with pytest.raises(
        CorruptState, match=r"journal is missing, but there is a .*record\.json, so that a search has run"
    ):
        DurableState(directory, "project").open()


def test_a_search_that_was_ended_before_its_first_trial_begins_anew(directory: SearchDir) -> None:
    RecordFile(directory.storage).write(search())
    store = DurableState(directory, "project")
    assert store.open().study == {"trials": {}}
    store.close()


def test_a_damaged_record_hinders_no_search_that_has_its_journal(directory: SearchDir) -> None:
    async def write() -> None:
        store = DurableState(directory, "project")
        store.open()
        await store.append({"trials": {"0": {"n": 1}}})
        store.close()

    asyncio.run(write())
    directory.record.write_text("{half")
    store = DurableState(directory, "project")
    assert store.open().study == {"trials": {"0": {"n": 1}}}
    store.close()
