"""What every place for chief and workers owes a search. The same tests run on this machine and on Kubernetes.

A module of tests derives a class from `ClusterContract` and says what its place is.
"""

from __future__ import annotations

import abc
import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import Cluster, Loss, MemberState, Snapshot
from custom_components.distributed_tuner.errors import ChiefRefused, SearchLocked
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Access
from custom_components.distributed_tuner.search import run as search
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.harness.cluster.kubernetes.waiting import until

OPTIONS = SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, grace_seconds=2.0)
# A lease that no test waits for: what is noticed sooner was told by the cluster.
LONG_LEASE = dataclasses.replace(OPTIONS, lease_seconds=600.0)
FOR_EVER = 600.0


class Place(abc.ABC):
    """Where one search runs, and what a test does to it there.

    Attributes:
      directory: of the search.
      spec: of the search.
    """

    directory: SearchDir
    spec: SearchSpec

    @abc.abstractmethod
    def make_cluster(self) -> Cluster:
        """A new one, as each run makes it."""

    @abc.abstractmethod
    def process(self, cluster: Cluster, member: str) -> str | None:
        """What tells a member's process from the one before it; None while there is none."""

    @abc.abstractmethod
    def kill(self, cluster: Cluster, member: str) -> None:
        """SIGKILL to a member, as a kernel without memory does it."""

    @abc.abstractmethod
    def left(self) -> list[str]:
        """What of the search is still there beside its directory."""


MakePlace = Callable[..., Place]


def ran(place: Place) -> collections.Counter[str]:
    """How often each trial was begun, by what the trials wrote down themselves."""
    log = place.directory.root / "ran.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return collections.Counter(line.split()[0] for line in lines)


def run(
    place: Place, *, workers: int = 2, watch: Callable[[Cluster, SearchRecord], None] | None = None
) -> search.Found:
    """Runs the search to its end; `watch` sees the record about four times a second."""
    cluster = place.make_cluster()

    def look(record: SearchRecord, now: float, alive: int) -> None:
        if watch is not None:
            watch(cluster, record)

    return search.run(place.spec, place.directory, cluster, workers=workers, watch=look)


class Watched:
    """A cluster that a test polls itself, as a search does, and the losses that it told of."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.losses: list[Loss] = []

    def poll(self) -> Snapshot:
        snapshot = self.cluster.poll()
        self.losses.extend(snapshot.losses)
        return snapshot

    def until(self, condition: Callable[[Snapshot], object], what: str) -> Snapshot:
        """The first snapshot that fulfils the condition."""
        last: list[Snapshot] = []

        def look() -> Snapshot | None:
            last[:] = [self.poll()]
            return last[0] if condition(last[0]) else None

        return until(look, what, tell=lambda: last)


@contextlib.contextmanager
def started(place: Place, workers: int) -> Iterator[Watched]:
    """Chief and workers without a search that watches them."""
    place.spec.write(place.directory.storage)
    cluster = place.make_cluster()
    cluster.start(workers)
    try:
        yield Watched(cluster)
    finally:
        cluster.close(grace_seconds=2.0)


def in_its_trial(place: Place, watched: Watched) -> str | None:
    """The process of the one worker, once it has a trial and a poll has seen it."""
    until(lambda: ran(place), "a trial", tell=lambda: watched.cluster.tail("worker-0"))
    watched.poll()
    return place.process(watched.cluster, "worker-0")


def one_runs(record: SearchRecord, epochs: int = 0) -> bool:
    return any(trial.status is TrialStatus.RUNNING and trial.epochs >= epochs for trial in record.trials)


def all_completed(found: search.Found, count: int) -> bool:
    record = found.record
    return record.count(TrialStatus.COMPLETED) == len(record.trials) == count and record.stop_reason is None


def outcomes(found: search.Found) -> list[Outcome]:
    return [stay.outcome for trial in found.record.trials for stay in trial.stays]


class ClusterContract:
    """The tests. A class of tests for a place derives from it and has a fixture `make_place`.

    `make_place(function, config, options)` makes the place of a search with this function of `user_tuners`; made twice
    in one test it is the same search.
    """

    @pytest.fixture
    def make_place(self) -> MakePlace:
        raise NotImplementedError

    def test_a_search_finishes_each_trial_once_and_leaves_nothing(self, make_place: MakePlace) -> None:
        place = make_place("waiting", {"max_trials": 5, "seconds": 0.3}, OPTIONS)
        assert all_completed(run(place), 5)
        assert sorted(ran(place).values()) == [1] * 5
        assert place.left() == []

    def test_members_are_named_and_the_chief_answers_whoever_has_the_token_and_nobody_else(
        self, make_place: MakePlace
    ) -> None:
        place = make_place("waiting", {"seconds": FOR_EVER}, OPTIONS)
        with started(place, 2) as watched:
            cluster = watched.cluster
            snapshot = watched.until(
                lambda seen: all(m.state is MemberState.RUNNING for m in (seen.chief, *seen.workers)), "all to run"
            )
            assert [member.name for member in (snapshot.chief, *snapshot.workers)] == ["chief", "worker-0", "worker-1"]
            with contextlib.closing(ChiefClient(cluster.chief_address, cluster.access(), 120.0)) as client:
                until(lambda: len(client.call("Status", {"revision": None})["workers"]) == 2, "two workers' word")
            stranger = Access("not-the-token", cluster.access().authority)
            client = ChiefClient(cluster.chief_address, stranger, 5.0)
            with contextlib.closing(client), pytest.raises(ChiefRefused):
                client.call("Status", {"revision": None})
            assert "serving" in cluster.tail("chief")
            assert cluster.tail("nobody") == ""
            members = (snapshot.chief, *snapshot.workers)
            assert all(m.log and not m.restarts and m.exit_code is None and not m.waiting for m in members)
            assert watched.losses == []
            cluster.close(grace_seconds=2.0)  # and once more at the end
        assert place.left() == []

    def test_a_killed_worker_is_one_loss_and_its_trial_goes_on_at_once(self, make_place: MakePlace) -> None:
        place = make_place("waiting", {"max_trials": 2, "seconds": 1.0}, LONG_LEASE)
        killed: list[str | None] = []

        def kill(cluster: Cluster, record: SearchRecord) -> None:
            if not killed and one_runs(record) and ran(place):
                killed.append(place.process(cluster, "worker-0"))
                place.kill(cluster, "worker-0")

        found = run(place, workers=1, watch=kill)
        assert killed and all_completed(found, 2)
        assert outcomes(found).count(Outcome.LOST) == 1
        assert place.left() == []

    def test_a_killed_chief_comes_back_and_no_trial_runs_twice(self, make_place: MakePlace) -> None:
        place = make_place("waiting", {"max_trials": 6, "seconds": 1.0}, OPTIONS)
        killed: list[str | None] = []

        def kill(cluster: Cluster, record: SearchRecord) -> None:
            if not killed and record.count(TrialStatus.COMPLETED) >= 2:
                killed.append(place.process(cluster, "chief"))
                place.kill(cluster, "chief")

        found = run(place, watch=kill)
        assert killed and all_completed(found, 6)
        assert sorted(ran(place).values()) == [1] * 6
        assert place.left() == []

    def test_what_a_member_ended_with_is_told(self, make_place: MakePlace) -> None:
        place = make_place("waiting", {"seconds": FOR_EVER}, LONG_LEASE)
        with started(place, 1) as watched:
            first = in_its_trial(place, watched)
            place.kill(watched.cluster, "worker-0")
            snapshot = watched.until(
                lambda seen: seen.workers[0].restarts and seen.workers[0].state is MemberState.RUNNING, "its successor"
            )
            (worker,) = snapshot.workers
            assert worker.process != first
            assert (worker.restarts, worker.exit_code) == (1, 137) and "exit code 137" in worker.reason
            watched.until(
                lambda seen: place.process(watched.cluster, "worker-0") not in (None, first), "another process"
            )
            (loss,) = watched.losses
            assert (loss.name, loss.process, loss.fault) == ("worker-0", first, True)
            assert "exit code 137" in loss.reason

    def test_a_worker_that_is_replaced_is_a_loss_by_its_own_fault(self, make_place: MakePlace) -> None:
        place = make_place("waiting", {"seconds": FOR_EVER}, LONG_LEASE)
        with started(place, 1) as watched:
            first = in_its_trial(place, watched)
            watched.cluster.replace("worker-0")
            snapshot = watched.until(
                lambda seen: watched.losses and seen.workers[0].state is MemberState.RUNNING, "its successor"
            )
            assert snapshot.workers[0].restarts == 1
            watched.until(
                lambda seen: place.process(watched.cluster, "worker-0") not in (None, first), "another process"
            )
            assert [(loss.name, loss.process, loss.fault) for loss in watched.losses] == [("worker-0", first, True)]
            watched.cluster.replace("nobody")

    def test_a_trial_that_silences_its_workers_fails_and_the_search_goes_on(self, make_place: MakePlace) -> None:
        options = dataclasses.replace(OPTIONS, lease_seconds=2.0, max_fruitless_losses=2)
        place = make_place("faulty", {"fault": "trial hangs in C", "times": 2}, options)
        found = run(place, workers=1)
        (failed,) = found.record.failed()
        assert "2 workers in a row died with it and got no further" in failed.cause
        assert found.record.count(TrialStatus.COMPLETED) == 3
        assert place.left() == []

    @pytest.mark.parametrize(("code", "words"), [(70, "gave up for good"), (0, "but the search is not over")])
    def test_a_worker_that_ended_for_good_is_not_started_again(
        self, make_place: MakePlace, code: int, words: str
    ) -> None:
        place = make_place("leaves_workers", {"code": code, "in_trial": True}, OPTIONS)
        found = run(place, workers=1)
        assert found.error is not None
        assert found.error[0] == "worker-0" and words in found.error[1]
        assert place.left() == []

    def test_a_cancelled_search_leaves_nothing_and_the_next_run_goes_on(self, make_place: MakePlace) -> None:
        config = {"max_trials": 6, "seconds": 0.5}
        first = make_place("waiting", config, OPTIONS)
        finished: list[str] = []

        def cancel(cluster: Cluster, record: SearchRecord) -> None:
            if record.count(TrialStatus.COMPLETED) >= 2:
                finished.extend(t.trial_id for t in record.trials if t.status is TrialStatus.COMPLETED)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(first, watch=cancel)
        assert first.left() == []
        second = make_place("waiting", config, OPTIONS)
        assert all_completed(run(second), 6)
        assert {ran(second)[trial_id] for trial_id in finished} == {1}
        assert second.left() == []

    def test_a_second_run_of_the_same_search_is_refused_and_harms_nothing(self, make_place: MakePlace) -> None:
        config: dict[str, Any] = {"max_trials": 3, "seconds": 1.0}
        refused: list[str] = []

        def intrude(cluster: Cluster, record: SearchRecord) -> None:
            if not refused and one_runs(record):
                with pytest.raises(SearchLocked) as refusal:
                    run(make_place("waiting", config, OPTIONS))
                refused.append(str(refusal.value))

        place = make_place("waiting", config, OPTIONS)
        assert all_completed(run(place, watch=intrude), 3)
        assert place.directory.url in refused[0]
        assert sorted(ran(place).values()) == [1] * 3
        assert place.left() == []
