"""A chief's store on either storage: what it stored the next one finds, and one that was replaced writes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

from custom_components.distributed_tuner.chief.durable_state import DurableState
from custom_components.distributed_tuner.errors import CorruptState, SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.base import Fenced, Storage, StorageError
from custom_components.distributed_tuner.storage.search_dir import RECORD, SearchDir
from tests.custom_components.distributed_tuner.records import search, trial
from tests.harness.gcs.fixtures import BUCKET, Gcs
from tests.harness.gcs.server import Fault

Open = Callable[[], Storage]


def patch(trial_id: str, status: str, score: float | None = None) -> dict[str, Any]:
    return {"state": {}, "trials": {trial_id: {"trial_id": trial_id, "status": status, "score": score}}}


def opened(storage: Storage) -> DurableState:
    directory = SearchDir(storage)
    directory.create()
    store = DurableState(directory, "project")
    store.open()
    return store


def test_what_one_chief_stored_the_next_one_and_others_find(storage_of: Open) -> None:
    async def write() -> None:
        store = opened(storage_of())
        store.append({"trials": {"0": {"n": 1}}}, patch("0", "RUNNING"))
        await store.append({"trials": {"0": {"n": 2}}}, patch("0", "COMPLETED", 1.5))
        storage_of().write("project/trial_0/resume/attempt_0/record.json", b"{}")
        store.write_files(search(trial("0", 1.5)), '{"seed":1}')
        store.close()

    asyncio.run(write())
    storage = storage_of()
    store = opened(storage)
    assert store.trials == {"0": {"trial_id": "0", "status": "COMPLETED", "score": 1.5}}
    store.close()
    assert SearchDir(storage).read_record() == search(trial("0", 1.5))
    assert json.loads(storage.read("project/trial_0/trial.json") or b"") == store.trials["0"]
    assert json.loads(storage.read("project/oracle.json") or b"") == {"seed": 1}
    # The trial has ended: nobody goes on with it.
    assert storage.read("project/trial_0/resume/attempt_0/record.json") is None


def test_a_journal_that_was_lost_is_told_on_either_storage(storage_of: Open) -> None:
    async def write() -> None:
        store = opened(storage_of())
        await store.append({"trials": {"0": {}}}, patch("0", "RUNNING"))
        store.write_files(search(trial("0", 1.5)), None)
        store.close()

    asyncio.run(write())
    storage = storage_of()
    storage.remove("journal")
    if storage.path is None:
        storage.remove_folder("journal")
    with pytest.raises(CorruptState, match=r"journal is missing, but .*record\.json tells of 1 trials"):
        opened(storage_of())
    assert SearchDir(storage).read_record() == search(trial("0", 1.5))


def test_the_first_reason_for_giving_up_stays_and_the_spec_is_read_back(storage_of: Open) -> None:
    directory = SearchDir(storage_of())
    spec = SearchSpec("run", "", {"tuner_fn": "a.b"}, SearchOptions(max_trial_seconds=5))
    with pytest.raises(SearchError, match=r"search\.json: no search was set up"):
        SearchSpec.read(directory.storage)
    spec.write(directory.storage)
    assert SearchSpec.read(storage_of()) == spec
    assert directory.read_error() is None
    directory.write_error("chief", "the first", "Traceback …")
    SearchDir(storage_of()).write_error("worker-0", "the second")
    assert directory.read_error() == ("chief", "the first", "Traceback …")


def test_a_chief_that_was_replaced_leaves_the_files_for_others_alone(in_bucket: Open) -> None:
    async def write() -> None:
        first = opened(in_bucket())
        await first.append({"trials": {"0": {}}}, patch("0", "RUNNING"))
        second = opened(in_bucket())
        second.write_files(search(trial("0", 2.5)), '{"seed":2}')
        with pytest.raises(Fenced, match="another chief has taken this search over"):
            first.write_files(search(trial("0", 1.5)), '{"seed":1}')
        with pytest.raises(Fenced):
            await first.append({"trials": {"0": {"n": 1}}})
        first.close()
        second.close()

    asyncio.run(write())
    assert SearchDir(in_bucket()).read_record() == search(trial("0", 2.5))
    assert in_bucket().read("project/oracle.json") == b'{"seed":2}'


def test_a_record_is_read_whole_while_it_is_written_again_and_again(bucket: Gcs, in_bucket: Open) -> None:
    async def write() -> None:
        store = opened(in_bucket())
        for number in range(20):
            await store.append({"trials": {str(number): {}}}, patch(str(number), "RUNNING"))
            store.write_files(search(trial(str(number), 1.0)), None)
            record = SearchDir(in_bucket()).read_record()
            assert record is not None and len(record.trials) == number + 1
        store.close()

    asyncio.run(write())


def test_a_bucket_that_is_away_fails_the_transition_in_words_and_nobody_is_told(bucket: Gcs, in_bucket: Open) -> None:
    async def write() -> None:
        store = opened(in_bucket())
        await store.append({"trials": {"0": {}}}, patch("0", "RUNNING"))
        bucket.server.faults[:] = [Fault(times=10_000, status=HTTPStatus.SERVICE_UNAVAILABLE)]
        with pytest.raises(StorageError, match=r"gs://bucket/runs/search/journal/.*status\.cloud\.google\.com"):
            await store.append({"trials": {"1": {}}}, patch("1", "RUNNING"))
        # The record would tell of a trial that is not stored.
        with pytest.raises(StorageError):
            store.write_files(search(trial("1", 1.0)), None)
        bucket.server.faults.clear()
        store.close()

    asyncio.run(write())
    assert in_bucket().read(RECORD) is None
    store = opened(in_bucket())
    assert list(store.trials) == ["0"]
    store.close()
    assert bucket.objects.page(BUCKET, "runs/search/project/", "", "", 9).objects == ()
