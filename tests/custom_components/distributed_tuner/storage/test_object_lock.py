"""A lease: one holder at a time, and the dead are told from the living without a common clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

import pytest

from custom_components.distributed_tuner.storage.base import Locked
from custom_components.distributed_tuner.storage.bucket import Bucket
from custom_components.distributed_tuner.storage.object_lock import ObjectLock
from tests.harness.gcs.fixtures import BUCKET, Gcs
from tests.harness.gcs.server import Fault

NAME = "runs/search/x.lock"
EXPIRE_SECONDS = 1.5
_SECONDS = 60.0


@pytest.fixture
def lease(bucket: Gcs) -> Callable[..., ObjectLock]:
    """Makes leases that are renewed five times a second."""

    def make(owner: str, renew_seconds: float = 0.2, patience_seconds: float = 5.0) -> ObjectLock:
        calls = Bucket(BUCKET, patience_seconds)
        return ObjectLock(calls, NAME, owner, renew_seconds=renew_seconds, expire_seconds=EXPIRE_SECONDS)

    return make


def until_lost(lease: ObjectLock) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            lease.check()
        except Locked:
            return
        assert time.monotonic() < deadline, "it is held still"
        time.sleep(0.05)


def test_a_holder_that_lives_is_left_alone(lease: Callable[..., ObjectLock]) -> None:
    holder = lease("one")
    holder.take(0.0)
    with pytest.raises(Locked):
        lease("two").take(2 * EXPIRE_SECONDS)
    holder.check()
    holder.release()


def test_a_holder_that_is_dead_is_waited_for_and_succeeded(bucket: Gcs, lease: Callable[..., ObjectLock]) -> None:
    dead = lease("one", renew_seconds=1000.0)
    dead.take(0.0)
    heir = lease("two")
    began = time.monotonic()
    heir.take(0.0)
    assert time.monotonic() - began >= EXPIRE_SECONDS
    heir.check()
    heir.release()
    assert bucket.objects.page(BUCKET, "", "", "", 9).objects == ()


def test_the_same_owner_takes_it_at_once_and_the_first_one_hears_of_it(lease: Callable[..., ObjectLock]) -> None:
    first, second, third = lease("one"), lease("one"), lease("two")
    first.take(0.0)
    second.take(0.0)
    until_lost(first)
    first.release()  # which is not its own any more
    second.check()
    with pytest.raises(Locked):
        third.take(0.0)
    second.release()
    third.take(0.0)
    third.release()


def test_a_lost_answer_costs_no_lease(bucket: Gcs, lease: Callable[..., ObjectLock]) -> None:
    holder = lease("one")
    bucket.server.faults[:] = [Fault("POST", NAME, times=3, after=True)]
    holder.take(0.0)
    deadline = time.monotonic() + _SECONDS
    while bucket.server.struck < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = bucket.objects.get(BUCKET, NAME).generation
    while bucket.objects.get(BUCKET, NAME).generation == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    holder.check()
    holder.release()


@pytest.mark.parametrize("after", [False, True])
def test_a_bucket_that_is_away_for_a_while_costs_no_lease(
    bucket: Gcs, lease: Callable[..., ObjectLock], after: bool
) -> None:
    holder = lease("one", patience_seconds=0.3)
    holder.take(0.0)
    # The first renewal may arrive, and nobody hears of it before it is given up.
    arrives = [Fault("POST", NAME, after=True)] if after else []
    bucket.server.faults[:] = [*arrives, Fault(times=10_000, status=HTTPStatus.SERVICE_UNAVAILABLE)]
    deadline = time.monotonic() + _SECONDS
    while bucket.server.struck < 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    bucket.server.faults.clear()
    before = bucket.objects.get(BUCKET, NAME).generation
    while bucket.objects.get(BUCKET, NAME).generation == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    holder.check()
    holder.release()


def test_one_of_two_that_come_at_once_gets_it(bucket: Gcs, lease: Callable[..., ObjectLock]) -> None:
    dead = lease("one", renew_seconds=1000.0)
    dead.take(0.0)
    bucket.server.faults[:] = [Fault("GET", slow_only=True, seconds=0.3, times=4)]
    first, second = lease("two"), lease("three")
    first.take(0.0)
    with pytest.raises(Locked):
        second.take(0.0)
    first.check()
    first.release()


def test_what_somebody_else_left_there_is_waited_for(bucket: Gcs, lease: Callable[..., ObjectLock]) -> None:
    bucket.objects.put(BUCKET, NAME, b"\xff no lease")
    taken = lease("one")
    taken.take(0.0)
    taken.check()
    taken.release()
