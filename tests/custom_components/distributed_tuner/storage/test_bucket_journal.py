"""The journal in a bucket: what is acknowledged stays, one chief at a time writes, and old objects are merged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.storage import bucket_journal, journal
from custom_components.distributed_tuner.storage.base import Fenced, Storage, StorageError
from custom_components.distributed_tuner.storage.gcs import GcsStorage
from tests.harness.gcs.fixtures import BUCKET, Gcs
from tests.harness.gcs.server import Fault

PREFIX = "runs/search/journal/"
Open = Callable[[], Storage]
Entries = list[dict[str, Any]]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """So few batches are merged."""
    monkeypatch.setattr(bucket_journal, "MERGED", 4)
    return 4


class Chief:
    """A writer, the entries that it found and those that it was told are stored."""

    def __init__(self, storage: Storage, meanwhile: Callable[[], None] | None = None) -> None:
        self.found: Entries = []
        self.taken = 0
        self.stored: Entries = []

        def take(entries: Iterable[journal.Entry]) -> None:
            self.found[:] = entries
            self.taken += 1
            if meanwhile is not None and self.taken == 1:
                meanwhile()

        self.journal = storage.open_journal(take)

    def append(self, *numbers: int) -> None:
        """One batch each."""
        for number in numbers:
            self.journal.append({"n": number}).result(30)
            self.stored.append({"n": number})

    def merged(self) -> None:
        """Waits for what goes on beside the writing."""
        self.journal.close()


def names(gcs: Gcs) -> list[str]:
    return [each.name.removeprefix(PREFIX) for each in gcs.objects.page(BUCKET, PREFIX, "", "", 10_000).objects]


def numbers(first: int, last: int) -> Entries:
    return [{"n": number} for number in range(first, last + 1)]


def history(in_bucket: Open) -> Entries:
    chief = Chief(in_bucket())
    chief.journal.close()
    return chief.found


def test_a_second_chief_takes_over_and_the_first_one_stores_nothing_more(in_bucket: Open) -> None:
    first = Chief(in_bucket())
    first.append(1, 2)
    second = Chief(in_bucket())
    assert second.found == numbers(1, 2)
    with pytest.raises(Fenced, match=r"gs://bucket/runs/search/journal: another chief has taken this search over"):
        first.append(3)
    with pytest.raises(Fenced):
        first.append(4)
    with pytest.raises(Fenced):
        first.journal.check()
    second.append(5)
    second.journal.check()
    first.journal.close()
    second.journal.close()
    assert history(in_bucket) == [*numbers(1, 2), {"n": 5}]


def test_an_idle_chief_hears_of_it_too(in_bucket: Open) -> None:
    first, second = Chief(in_bucket()), Chief(in_bucket())
    second.journal.check()
    with pytest.raises(Fenced):
        first.journal.check()


def test_what_is_stored_while_another_one_opens_is_part_of_what_that_one_finds(in_bucket: Open) -> None:
    first = Chief(in_bucket())
    first.append(1)
    second = Chief(in_bucket(), meanwhile=lambda: first.append(2))
    assert second.taken == 2 and second.found == numbers(1, 2)
    with pytest.raises(Fenced):
        first.append(3)
    second.append(4)
    assert history(in_bucket) == [{"n": 1}, {"n": 2}, {"n": 4}]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("status", [None, HTTPStatus.SERVICE_UNAVAILABLE])
@pytest.mark.parametrize("after", [False, True])
def test_a_lost_answer_stores_nothing_twice(
    bucket: Gcs, in_bucket: Open, times: int, status: HTTPStatus | None, after: bool
) -> None:
    def spoil() -> None:
        bucket.server.faults[:] = [Fault(method="POST", part=PREFIX, times=times, status=status, after=after)]

    spoil()
    chief = Chief(in_bucket())
    for number in (1, 2):
        spoil()
        chief.append(number)
    chief.journal.check()
    chief.journal.close()
    assert bucket.server.struck == 3 * times
    assert history(in_bucket) == numbers(1, 2)


def test_many_batches_become_few_objects_and_are_read_as_before(bucket: Gcs, in_bucket: Open, few: int) -> None:
    chief = Chief(in_bucket())
    for number in range(1, 23):
        chief.append(number)
    chief.merged()
    # The opening, which is number 1, stays.
    assert names(bucket)[:6] == [
        "000000000001",
        "000000000001-000000000004",
        "000000000005-000000000008",
        "000000000009-000000000012",
        "000000000013-000000000016",
        "000000000017-000000000020",
    ]
    assert names(bucket)[6:] == ["000000000021", "000000000022", "000000000023"]
    bucket.server.requests.clear()
    again = Chief(in_bucket())
    assert again.found == numbers(1, 22)
    read = [request for request in bucket.server.requests if request.method == "GET" and PREFIX in request.path]
    assert len(read) == 5 + 3
    again.append(23, 24)
    again.merged()
    assert history(in_bucket) == numbers(1, 24)


def test_a_chief_that_was_left_far_behind_stores_nothing(bucket: Gcs, in_bucket: Open, few: int) -> None:
    first = Chief(in_bucket())
    first.append(1, 2)
    second = Chief(in_bucket())
    for number in range(10, 30):
        second.append(number)
    second.merged()
    # The numbers around the first one's next are merged and removed, but that one is not.
    assert "000000000004" in names(bucket) and "000000000005" not in names(bucket)
    with pytest.raises(Fenced):
        first.append(3)
    assert history(in_bucket) == [*numbers(1, 2), *numbers(10, 29)]


def test_a_chief_that_is_left_behind_while_it_opens_looks_again(bucket: Gcs, in_bucket: Open, few: int) -> None:
    first = Chief(in_bucket())
    first.append(1)

    def go_far() -> None:
        for number in range(2, 20):
            first.append(number)
        first.merged()
        # What the second one is about to make was made and removed meanwhile.
        assert "000000000003" not in names(bucket)

    second = Chief(in_bucket(), meanwhile=go_far)
    assert second.found == numbers(1, 19) and second.taken == 2
    second.append(20)
    assert history(in_bucket) == numbers(1, 20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(["open", "append", "append", "append", "both"]), st.integers(0, 9))))
def test_however_chiefs_follow_each_other_what_was_acknowledged_is_the_history(
    bucket: Gcs, few: int, steps: list[tuple[str, int]]
) -> None:
    bucket.objects.clear(BUCKET)
    chiefs: list[Chief] = []
    acknowledged: Entries = []
    number = 0

    def storage() -> Storage:
        return GcsStorage(f"{bucket.url}/runs/search", 2.0)

    def append(chief: Chief, times: int = 1) -> None:
        nonlocal number
        for _ in range(times):
            number += 1
            try:
                chief.append(number)
            except Fenced:
                continue
            acknowledged.append({"n": number})

    for step, which in [("open", 0), *steps]:
        if step == "append":
            append(chiefs[which % len(chiefs)])
            continue

        # An older chief may write in the middle of the opening, and far.
        older = chiefs[which % len(chiefs)] if step == "both" else None
        chiefs.append(Chief(storage(), functools.partial(append, older, 6) if older else None))
        assert chiefs[-1].found == acknowledged
    for chief in chiefs:
        chief.journal.close()
    last = Chief(storage())
    last.journal.close()
    assert last.found == acknowledged


def test_what_cannot_be_merged_stays_and_is_merged_later(
    bucket: Gcs, in_bucket: Open, few: int, caplog: pytest.LogCaptureFixture
) -> None:
    chief = Chief(in_bucket())
    bucket.server.faults[:] = [Fault("POST", "-000000000004", status=HTTPStatus.FORBIDDEN, reason="forbidden")]
    chief.append(1, 2, 3)
    chief.merged()
    assert "objects of the journal could not be merged" in caplog.text
    assert names(bucket) == ["000000000001", "000000000002", "000000000003", "000000000004"]
    again = Chief(in_bucket())
    again.append(4)
    again.merged()
    assert "000000000001-000000000004" in names(bucket) and "000000000002" not in names(bucket)
    assert history(in_bucket) == numbers(1, 4)


def test_what_was_merged_and_not_removed_goes_with_the_next_opening(bucket: Gcs, in_bucket: Open, few: int) -> None:
    chief = Chief(in_bucket())
    bucket.server.faults[:] = [Fault("DELETE", PREFIX, times=9, status=HTTPStatus.FORBIDDEN, reason="forbidden")]
    chief.append(1, 2, 3, 4)
    chief.merged()
    assert "000000000002" in names(bucket) and "000000000001-000000000004" in names(bucket)
    bucket.server.faults.clear()
    assert history(in_bucket) == numbers(1, 4)
    assert "000000000002" not in names(bucket)
    assert history(in_bucket) == numbers(1, 4)


def test_a_bucket_that_stays_away_fails_the_entry_and_nothing_follows(bucket: Gcs, in_bucket: Open) -> None:
    chief = Chief(in_bucket())
    chief.append(1)
    bucket.server.faults[:] = [Fault("POST", PREFIX, times=1000, status=HTTPStatus.SERVICE_UNAVAILABLE)]
    with pytest.raises(StorageError, match=r"cannot write it: 503 .*Check the network"):
        chief.append(2)
    bucket.server.faults.clear()
    with pytest.raises(StorageError):
        chief.append(3)
    assert history(in_bucket) == numbers(1, 1)


def test_an_entry_whose_answer_never_came_may_be_stored_but_no_other(bucket: Gcs, in_bucket: Open) -> None:
    chief = Chief(in_bucket())
    bucket.server.faults[:] = [
        Fault("POST", PREFIX, times=1, after=True),
        Fault("POST", PREFIX, times=1000, status=HTTPStatus.SERVICE_UNAVAILABLE),
    ]
    with pytest.raises(StorageError):
        chief.append(1)
    bucket.server.faults.clear()
    with pytest.raises(StorageError):
        chief.append(2)
    assert history(in_bucket) == numbers(1, 1)


def _flip(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("000000000003", _flip, "000000000003, line 2: the stored search is damaged"),
        (
            "000000000003",
            lambda data: data[:-1],
            "000000000003: the stored search is damaged: its last line has no end",
        ),
        ("000000000003", lambda data: data + b"x\n", "000000000003, line 3: the stored search is damaged"),
        ("000000000003", None, "journal: the stored search is damaged: number 000000000003 is missing"),
        ("000000000003", lambda data: b"", "000000000003: the stored search is damaged: its last line has no end"),
    ],
)
def test_damage_is_told_by_the_object(
    bucket: Gcs, in_bucket: Open, name: str, change: Callable[[bytes], bytes] | None, told: str
) -> None:
    chief = Chief(in_bucket())
    chief.append(1, 2, 3)
    if change is None:
        bucket.objects.delete(BUCKET, PREFIX + name)
    else:
        bucket.objects.put(BUCKET, PREFIX + name, change(bucket.objects.get(BUCKET, PREFIX + name).data))
    before = names(bucket)
    with pytest.raises(CorruptState, match=f"gs://bucket/runs/search/.*{told}"):
        Chief(in_bucket())
    assert names(bucket) == before


def test_an_object_in_anothers_place_is_told(bucket: Gcs, in_bucket: Open) -> None:
    Chief(in_bucket()).append(1, 2)
    bucket.objects.put(BUCKET, f"{PREFIX}000000000003", bucket.objects.get(BUCKET, f"{PREFIX}000000000002").data)
    with pytest.raises(CorruptState, match=r"000000000003: .* it holds the batch number 2"):
        Chief(in_bucket())


def test_a_merged_object_that_is_gone_is_told(bucket: Gcs, in_bucket: Open, few: int) -> None:
    chief = Chief(in_bucket())
    chief.append(*range(1, 12))
    chief.merged()
    bucket.objects.delete(BUCKET, f"{PREFIX}000000000001-000000000004")
    with pytest.raises(CorruptState, match="number 000000000001 is missing, but there is 000000000005-000000000008"):
        Chief(in_bucket())
