"""What every storage promises, see `Storage`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.storage import journal, open_storage
from custom_components.distributed_tuner.storage.base import Locked, Storage

Open = Callable[[], Storage]

ENTRIES: list[dict[str, Any]] = [{"n": 0}, {"n": 1, "text": "ä\n\r x"}, {"n": 2, "deep": {"values": [1.5, None, True]}}]


def opened(storage: Storage) -> tuple[journal.Journal, list[journal.Entry]]:
    """The journal and what is in it."""
    found: list[journal.Entry] = []

    def take(entries: Iterable[journal.Entry]) -> None:
        found[:] = entries

    return storage.open_journal(take), found


def append(storage: Storage, *entries: journal.Entry) -> list[journal.Entry]:
    """Appends as a process of its own does; what was there before."""
    writer, before = opened(storage)
    for future in [writer.append(entry) for entry in entries]:
        future.result(30)
    writer.close()
    return before


def test_a_file_is_written_replaced_read_and_removed(storage_of: Open) -> None:
    one, other = storage_of(), storage_of()
    one.prepare()
    assert other.read("a/b c.json") is None
    one.write("a/b c.json", b"first")
    one.write("a/b c.json", bytes(range(256)) * 100)
    one.write("a/b", b"")
    assert other.read("a/b c.json") == bytes(range(256)) * 100
    assert other.read("a/b") == b""
    other.remove("a/b c.json")
    other.remove("a/b c.json")
    assert one.read("a/b c.json") is None
    assert one.where("a/b").startswith(one.url) and one.where("a/b").endswith("/a/b")


def test_the_time_of_the_last_write_is_known(storage_of: Open) -> None:
    storage = storage_of()
    assert storage.written("x") is None
    storage.write("x", b"first")
    first = storage.written("x")
    storage.write("x", b"second")
    second = storage.written("x")
    assert first is not None and second is not None
    assert time.time() - 60 < first <= second < time.time() + 60


def test_json_is_read_or_absent_or_damaged(storage_of: Open) -> None:
    storage = storage_of()
    assert storage.read_json("x.json") is None
    storage.write("x.json", b'{"a": [1]}')
    assert storage.read_json("x.json") == {"a": [1]}
    storage.write("x.json", b'{"a": ')
    with pytest.raises(CorruptState, match=r"is damaged: it holds no JSON: .* Buy a disk") as damage:
        storage.read_json("x.json", "Buy a disk")
    assert storage.where("x.json") in str(damage.value)


def test_a_folder_is_removed_with_all_below_it_and_nothing_else(storage_of: Open) -> None:
    storage = storage_of()
    for name in ("p/a/x", "p/a/deep/y", "p/ab", "p/a.txt"):
        storage.write(name, b"1")
    storage.remove_folder("p/a")
    storage.remove_folder("p/a")
    assert [storage.read(name) for name in ("p/a/x", "p/a/deep/y", "p/ab", "p/a.txt")] == [None, None, b"1", b"1"]


def test_what_was_appended_is_read_in_order_and_over_several_openings(storage_of: Open) -> None:
    assert storage_of().journal_state() == "missing"
    assert append(storage_of(), *ENTRIES[:2]) == []
    assert append(storage_of(), *ENTRIES[2:]) == ENTRIES[:2]
    assert append(storage_of()) == ENTRIES
    assert append(storage_of()) == ENTRIES


def test_entries_are_stored_when_the_future_is_done(storage_of: Open) -> None:
    writer, _ = opened(storage_of())
    writer.append({"n": 1}).result(30)
    writer.check()
    # Without a close: as after a kill.
    assert append(storage_of()) == [{"n": 1}]


def test_entries_of_many_threads_are_all_stored_and_share_what_is_written(storage_of: Open) -> None:
    writer, _ = opened(storage_of())
    futures: list[Any] = []
    lock = threading.Lock()

    def write(first: int) -> None:
        for number in range(first, first + 50):
            future = writer.append({"n": number})
            with lock:
                futures.append(future)

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for future in futures:
        future.result(60)
    writer.close()
    assert sorted(entry["n"] for entry in append(storage_of())) == list(range(200))
    assert len({id(future) for future in futures}) < 200


def test_the_position_moves_with_entries_and_not_with_openings(storage_of: Open) -> None:
    storage = storage_of()
    assert storage.journal_position() == 0
    append(storage_of())
    assert (storage.journal_position(), storage.journal_state()) == (0, "empty")
    append(storage_of(), {"n": 1})
    first = storage.journal_position()
    append(storage_of())
    assert storage.journal_position() == first > 0
    append(storage_of(), {"n": 2})
    assert storage.journal_position() > first


def test_who_refuses_what_is_stored_opens_nothing(storage_of: Open) -> None:
    append(storage_of(), *ENTRIES)
    before = storage_of().journal_position()

    def refuse(entries: Iterable[journal.Entry]) -> None:
        assert list(entries) == ENTRIES
        raise CorruptState("not mine")

    with pytest.raises(CorruptState, match="not mine"):
        storage_of().open_journal(refuse)
    assert storage_of().journal_position() == before
    assert append(storage_of()) == ENTRIES


def test_what_has_no_place_in_json_is_refused_at_once(storage_of: Open) -> None:
    writer, _ = opened(storage_of())
    with pytest.raises(TypeError):
        writer.append({"n": {1, 2}})
    writer.append({"n": 1}).result(30)
    writer.close()
    assert append(storage_of()) == [{"n": 1}]


def test_one_holds_a_lock_at_a_time(storage_of: Open) -> None:
    with storage_of().held("x.lock", owner="one", wait_seconds=0.0) as hold:
        hold.check()
        with storage_of().held("y.lock", owner="two", wait_seconds=0.0) as another:
            another.check()
        with pytest.raises(Locked), storage_of().held("x.lock", owner="two", wait_seconds=0.0):
            raise AssertionError("two hold it")
        hold.check()
    with storage_of().held("x.lock", owner="two", wait_seconds=0.0) as hold:
        hold.check()


def test_a_lock_is_waited_for(storage_of: Open) -> None:
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with storage_of().held("x.lock", owner="one", wait_seconds=0.0):
            held.set()
            assert let_go.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    timer = threading.Timer(0.5, let_go.set)
    timer.start()
    with storage_of().held("x.lock", owner="two", wait_seconds=60.0):
        assert let_go.is_set()
    thread.join(60)


@pytest.mark.parametrize("address", ["s3://bucket/folder", "gs://bucket", "gs://bucket/", "gs:///folder"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=address):
        open_storage(address)
