"""Whole searches whose directory is in a bucket: real processes, a real chief, and a bucket that has bad moments."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from http import HTTPStatus

import pytest

from custom_components.distributed_tuner.cluster.local.cluster import LocalCluster
from custom_components.distributed_tuner.errors import SearchError, SearchLocked
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.search import run
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.gcs import GcsStorage
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.harness.gcs.fixtures import BUCKET, Gcs
from tests.harness.gcs.server import Fault

pytestmark = pytest.mark.timeout(400)

FOLDER = "runs/search"


class BucketSearch:
    """A search on this machine with its directory in the bucket."""

    def __init__(
        self, gcs: Gcs, trials: int = 2, epochs: int = 3, seconds: float = 0.5, patience: float = 60.0
    ) -> None:
        self.gcs = gcs
        self.directory = SearchDir(f"{gcs.url}/{FOLDER}")
        config = {"max_trials": trials, "epochs": epochs, "seconds": seconds}
        properties = {"tuner_fn": "user_tuners.anywhere", "custom_config": json.dumps(config)}
        options = SearchOptions(heartbeat_seconds=0.5, lease_seconds=4.0, bucket_patience_seconds=patience)
        self.spec = SearchSpec("search", "", properties, options)
        self.cluster = LocalCluster(self.directory, "token")

    def run(self, watch: Callable[[SearchRecord], None] | None = None, workers: int = 1) -> run.Found:
        """Runs to the end; `watch` sees each record."""

        def look(record: SearchRecord, now: float, alive: int) -> None:
            if watch is not None:
                watch(record)

        return run.run(self.spec, self.directory, self.cluster, workers=workers, watch=look)

    def names(self) -> list[str]:
        """The objects of the search."""
        objects = self.gcs.objects.page(BUCKET, f"{FOLDER}/", "", "", 10_000).objects
        return [each.name.removeprefix(f"{FOLDER}/") for each in objects]

    def epochs(self) -> list[str]:
        """The number of each epoch that was begun."""
        return sorted(name.split("/")[1].split("-")[0] for name in self.names() if name.startswith("epochs/"))


@pytest.fixture
def bucket(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> Gcs:
    """The bucket as that of this process and of all that it starts."""
    for name, value in gcs.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return gcs


def test_a_search_in_a_bucket_survives_its_processes_and_bad_moments(bucket: Gcs) -> None:
    made = BucketSearch(bucket, trials=2, epochs=6, seconds=0.7)
    bucket.server.faults[:] = [
        Fault("POST", "/journal/", times=2, status=HTTPStatus.SERVICE_UNAVAILABLE),
        Fault("POST", "/journal/", times=2, after=True),
        Fault("POST", "/record.json", times=2, status=HTTPStatus.TOO_MANY_REQUESTS),
        Fault("POST", "/journal/", times=100, slow_only=True, seconds=0.3),
    ]
    killed: list[str] = []

    def kill(record: SearchRecord) -> None:
        member = ("chief", "worker-0")[len(killed)] if len(killed) < 2 else ""
        pid = made.cluster.pid(member) if member else None
        if pid and any(trial.epochs == 2 * len(killed) + 2 for trial in record.trials):
            killed.append(member)
            os.kill(pid, signal.SIGKILL)

    found = made.run(kill)
    assert killed == ["chief", "worker-0"] and bucket.server.struck >= 7
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 2
    outcomes = [[stay.outcome for stay in trial.stays] for trial in found.record.trials]
    assert sorted(map(len, outcomes)) == [1, 2] and Outcome.LOST in [each[0] for each in outcomes]
    # The lost worker's trial went on: its first epoch was trained once, as the other trial's.
    assert made.epochs().count("0") == 2
    # What others read is there, and what a lost worker would have gone on from is not.
    assert made.directory.read_record() == found.record
    names = made.names()
    assert {"search.json", "chief.json", "record.json", "project/oracle.json", "logs/worker-0.log"} <= set(names)
    assert {name for name in names if name.endswith("trial.json")} == {
        f"project/trial_{trial.trial_id}/trial.json" for trial in found.record.trials
    }
    assert not [name for name in names if "/resume/" in name or name.endswith(".lock")]

    # The same run again has nothing left to do.
    before = made.epochs()
    again = BucketSearch(bucket, trials=2, epochs=6, seconds=0.7)
    assert again.run().record.count(TrialStatus.COMPLETED) == 2
    assert again.epochs() == before


def test_a_second_run_and_a_second_chief_are_kept_out(bucket: Gcs) -> None:
    made = BucketSearch(bucket, trials=1, epochs=8, seconds=1.0)
    refused: list[str] = []
    threads: list[threading.Thread] = []

    def second() -> None:
        try:
            BucketSearch(bucket).run()
        except SearchLocked as error:
            refused.append(str(error))

    def watch(record: SearchRecord) -> None:
        if not threads and record.count(TrialStatus.RUNNING):
            threads.append(threading.Thread(target=second))
            threads[0].start()

    found = made.run(watch)
    threads[0].join(120)
    assert found.record.count(TrialStatus.COMPLETED) == 1 and len(found.record.trials[0].stays) == 1
    assert len(refused) == 1 and f"another run works on the search in {bucket.url}/{FOLDER}" in refused[0]


def test_a_chief_whose_search_was_taken_over_ends_and_leaves_no_word_in_it(bucket: Gcs) -> None:
    made = BucketSearch(bucket, trials=1, epochs=60, seconds=0.5)
    taken: list[object] = []

    def take_over(record: SearchRecord) -> None:
        if not taken and any(trial.epochs for trial in record.trials):
            taken.append(GcsStorage(made.directory.url).open_journal(lambda entries: None))

    with pytest.raises(SearchError, match="another chief has taken this search over"):
        made.run(take_over)
    assert "error.json" not in made.names()


def test_a_bucket_that_stays_away_ends_the_search_as_a_full_disk_does_and_the_same_run_goes_on(bucket: Gcs) -> None:
    made = BucketSearch(bucket, trials=2, epochs=8, patience=3.0)

    def lose_it(record: SearchRecord) -> None:
        # An epoch that the end of the search interrupts is trained again: the second trial's first is over by then.
        under_way = any(trial.status is TrialStatus.RUNNING and trial.epochs >= 2 for trial in record.trials)
        if not bucket.server.faults and record.count(TrialStatus.COMPLETED) == 1 and under_way:
            bucket.server.faults[:] = [
                Fault(method, part, times=100_000, status=HTTPStatus.SERVICE_UNAVAILABLE)
                for method in ("GET", "POST", "PUT")
                for part in ("/journal/", "/record.json", "/error.json")
            ]

    with pytest.raises(SearchError, match=r"cannot store the search in gs://.*out of reach(.|\n)*It was tried for"):
        made.run(lose_it)
    bucket.server.faults.clear()
    found = BucketSearch(bucket, trials=2, epochs=8).run()
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 2
    assert made.epochs().count("0") == 2


def test_a_run_whose_search_was_taken_over_ends_and_says_so(bucket: Gcs) -> None:
    made = BucketSearch(bucket, trials=1, epochs=60, seconds=0.5)

    def take_over(record: SearchRecord) -> None:
        # As another run does that did not hear of this one for a while.
        bucket.objects.put(BUCKET, f"{FOLDER}/run.lock", b'{"owner": "another"}')

    with pytest.raises(SearchLocked, match=r"another run has taken the search in .* over"):
        made.run(take_over)
    assert bucket.objects.get(BUCKET, f"{FOLDER}/run.lock").data == b'{"owner": "another"}'


def test_a_bucket_that_may_not_be_used_is_told_before_anything_starts(bucket: Gcs) -> None:
    bucket.server.faults[:] = [Fault("GET", times=100, status=HTTPStatus.FORBIDDEN, reason="forbidden")]
    with pytest.raises(OSError, match=r"gs://bucket/runs/search/.*roles/storage\.objectUser"):
        BucketSearch(bucket).run()
    assert bucket.objects.page(BUCKET, "", "", "", 9).objects == ()
