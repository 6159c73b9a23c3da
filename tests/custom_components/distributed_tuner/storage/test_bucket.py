"""The calls to a bucket: what is tried again, what is told at once, and in which words."""

from __future__ import annotations

import time
from http import HTTPStatus
from pathlib import Path

import pytest

from custom_components.distributed_tuner.storage.base import StorageError
from custom_components.distributed_tuner.storage.bucket import Bucket
from tests.harness.gcs.fixtures import BUCKET, Gcs
from tests.harness.gcs.server import Fault

PATIENCE_SECONDS = 2.0


@pytest.fixture
def calls(bucket: Gcs) -> Bucket:
    return Bucket(BUCKET, PATIENCE_SECONDS)


PASSING = {
    "503": Fault(status=HTTPStatus.SERVICE_UNAVAILABLE),
    "500": Fault(status=HTTPStatus.INTERNAL_SERVER_ERROR),
    "502": Fault(status=HTTPStatus.BAD_GATEWAY),
    "504": Fault(status=HTTPStatus.GATEWAY_TIMEOUT),
    "408": Fault(status=HTTPStatus.REQUEST_TIMEOUT),
    "429": Fault(status=HTTPStatus.TOO_MANY_REQUESTS),
    "too fast": Fault(status=HTTPStatus.FORBIDDEN, reason="rateLimitExceeded"),
    "broken connection": Fault(),
    "broken connection after the work": Fault(after=True),
    "503 after the work": Fault(status=HTTPStatus.SERVICE_UNAVAILABLE, after=True),
    "slow": Fault(slow_only=True, seconds=1.0),
}


@pytest.mark.parametrize("name", list(PASSING))
def test_a_fault_that_passes_is_not_noticed(bucket: Gcs, calls: Bucket, name: str) -> None:
    fault = PASSING[name]
    times = 1 if fault.slow_only else 2

    def spoilt() -> None:
        bucket.server.faults[:] = [
            Fault(times=times, status=fault.status, reason=fault.reason, after=fault.after, seconds=fault.seconds)
        ]

    spoilt()
    calls.put("x", b"one")
    assert bucket.objects.get(BUCKET, "x").data == b"one"
    spoilt()
    found = calls.get("x")
    assert found == (b"one", bucket.objects.get(BUCKET, "x").generation)
    spoilt()
    assert [listed.name for listed in calls.list("")] == ["x"]
    spoilt()
    generation = calls.put_if("x", b"two", found[1])
    assert generation == bucket.objects.get(BUCKET, "x").generation != found[1]
    spoilt()
    assert calls.put_if("y", b"new", 0) == bucket.objects.get(BUCKET, "y").generation
    spoilt()
    calls.delete("x")
    assert [listed.name for listed in calls.list("")] == ["y"]
    assert bucket.server.struck == 6 * times


@pytest.mark.parametrize("lost", [False, True])
def test_one_of_two_comes_first_also_when_the_answer_is_lost(bucket: Gcs, calls: Bucket, lost: bool) -> None:
    first = calls.put_if("x", b"one", 0)
    assert first is not None
    if lost:
        bucket.server.faults[:] = [Fault(method="POST", after=True)]
    assert calls.put_if("x", b"other", 0) is None
    assert calls.put_if("x", b"other", first + 1) is None
    assert bucket.objects.get(BUCKET, "x").data == b"one"


def test_content_that_others_write_too_tells_nothing(bucket: Gcs, calls: Bucket) -> None:
    bucket.server.faults[:] = [Fault(method="POST", after=True)]
    assert calls.put_if("x", b"", 0, unique=False) is None
    assert bucket.objects.get(BUCKET, "x").data == b""


def test_an_object_of_another_generation_is_not_removed(bucket: Gcs, calls: Bucket) -> None:
    generation = calls.put_if("x", b"one", 0)
    assert generation is not None
    calls.delete("x", generation + 1)
    assert calls.get("x") is not None
    calls.delete("x", generation)
    assert calls.get("x") is None


def test_long_listings_come_whole_and_in_order(bucket: Gcs, calls: Bucket) -> None:
    names = [f"p/{number:05d}" for number in range(2500)]
    for name in names:
        bucket.objects.put(BUCKET, name, b"12")
    listed = calls.list("p/")
    assert [each.name for each in listed] == names and {each.size for each in listed} == {2}
    assert [each.name for each in calls.list("p/", limit=1)] == names[:1]
    some = names[::100]
    assert list(calls.get_all([*some, "p/absent"])) == [b"12"] * len(some) + [None]
    calls.delete_all(names)
    assert calls.list("p/") == []


def test_a_bucket_that_stays_away_is_given_up_in_words(bucket: Gcs, calls: Bucket) -> None:
    bucket.server.faults[:] = [Fault(times=1000, status=HTTPStatus.SERVICE_UNAVAILABLE)]
    began = time.monotonic()
    with pytest.raises(StorageError) as error:
        calls.put("x", b"")
    assert time.monotonic() - began >= PATIENCE_SECONDS / 4
    assert str(error.value).startswith("gs://bucket/x: cannot write it: 503 spoilt by the test. It was tried for")
    assert "run the same run id again" in str(error.value)
    assert bucket.server.struck >= 3


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (HTTPStatus.FORBIDDEN, "forbidden", "roles/storage.objectUser"),
        (HTTPStatus.UNAUTHORIZED, "authError", "gcloud auth application-default login"),
        (HTTPStatus.BAD_REQUEST, "invalid", "Check the address and the bucket's settings"),
    ],
)
def test_what_only_a_person_can_mend_is_told_at_once(
    bucket: Gcs, calls: Bucket, status: HTTPStatus, reason: str, words: str
) -> None:
    for call in (lambda: calls.put("x", b""), lambda: calls.get("x"), lambda: calls.list("")):
        bucket.server.faults[:] = [Fault(status=status, reason=reason)]
        with pytest.raises(StorageError) as error:
            call()
        assert words in str(error.value) and str(error.value).startswith("gs://bucket/")
    assert bucket.server.struck == 3


def test_a_bucket_that_is_not_there_is_told_at_once(bucket: Gcs) -> None:
    absent = Bucket("elsewhere", PATIENCE_SECONDS)
    for call in (lambda: absent.put("x", b""), lambda: absent.get("x"), lambda: absent.list("")):
        with pytest.raises(StorageError, match="there is no bucket elsewhere"):
            call()


def test_no_credentials_are_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(StorageError, match="There are no valid credentials: on GKE bind"):
        Bucket(BUCKET, PATIENCE_SECONDS).get("x")
