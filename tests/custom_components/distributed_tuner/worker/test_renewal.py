"""Workers give way to fresh processes between two trials, and nothing of the search is lost by it."""

from __future__ import annotations

import collections
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from long_lived_tuners import LOG

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.worker.renewal import Renewal

MB = 10**6


class Process:
    """What a worker is to a `Renewal`: its size, and what of it is garbage, in megabytes."""

    def __init__(self, options: SearchOptions, workers: int = 1, allowance: int = 1000) -> None:
        self.size = 0
        self.garbage = 0
        self.renewal = Renewal(
            options,
            workers,
            resident=lambda: (self.size + self.garbage) * MB,
            allowance=lambda: allowance * MB,
            tidy=self._tidy,
        )

    def _tidy(self) -> None:
        self.garbage = 0

    def trial(self, size: int, garbage: int = 0) -> str | None:
        """Why it gives way after a trial that leaves it so large."""
        self.size, self.garbage = size, garbage
        due = self.renewal.trial_ended()
        reason = self.renewal.reason()
        assert due or reason is None, "it took another trial, and may not go"
        assert self.renewal.reason() in (None, reason)
        return reason


def test_it_goes_after_so_many_trials() -> None:
    process = Process(SearchOptions(max_worker_trials=3))
    assert [process.trial(100) for _ in range(3)] == [None, None, "3 trials (max_worker_trials=3)"]


def test_without_a_number_only_its_size_counts() -> None:
    process = Process(SearchOptions(max_worker_trials=None))
    assert not any(process.trial(100) for _ in range(1000))


def test_it_goes_when_it_is_too_large() -> None:
    process = Process(SearchOptions(max_worker_megabytes=500))
    assert [process.trial(size) for size in (200, 500)] == [None, None]
    assert process.trial(501) == "501 MB (max_worker_megabytes=500), after 3 trials"


def test_without_a_size_it_is_three_quarters_of_its_share() -> None:
    process = Process(SearchOptions(), workers=2, allowance=1000)
    assert [process.trial(size) for size in (200, 375)] == [None, None]
    assert process.trial(376) == "376 MB (three quarters of what it may have, 375 MB), after 3 trials"


def test_garbage_is_done_away_with_before_it_goes() -> None:
    process = Process(SearchOptions(max_worker_megabytes=500))
    assert process.trial(200) is process.trial(250, garbage=600) is None
    assert process.trial(510, garbage=600) == "510 MB (max_worker_megabytes=500), after 3 trials"


def test_a_process_that_was_large_from_the_beginning_stays() -> None:
    process = Process(SearchOptions(max_worker_megabytes=100))
    assert not any(process.trial(size) for size in (1000, 1050, 1100))
    assert process.trial(1101) is not None


def counting(**limits: Any) -> SearchOptions:
    """With a lost worker, or a fault, the search would end."""
    return SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, max_lost_workers=1, max_worker_faults=1, **limits)


def notes(root: Path) -> list[list[str]]:
    return [line.split() for line in (root / LOG).read_text().splitlines()]


def each_once(record: SearchRecord, trials: int) -> None:
    assert record.stop_reason is None
    assert [[stay.outcome for stay in trial.stays] for trial in record.trials] == [[Outcome.COMPLETED]] * trials


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("workers", "executions"), [(1, 1), (2, 2)])
def test_no_trial_and_no_epoch_is_lost(make_search: Callable[..., Any], workers: int, executions: int) -> None:
    config = {"max_trials": 7, "executions": executions}
    made = make_search("long_lived_tuners.models", config, counting(max_worker_trials=2))
    alive: list[int] = []

    def count(running: Any, record: SearchRecord) -> None:
        if record.count(TrialStatus.COMPLETED) < 7:
            alive.append(running.alive)

    found = made.run(workers=workers, watch=count)
    each_once(found.record, 7)
    begun = notes(made.directory.root)
    # Each epoch of each execution once, and no process has more than two trials.
    epochs = collections.Counter((trial, epoch) for _, trial, epoch in begun)
    assert epochs == {(str(trial), str(epoch)): executions for trial in range(7) for epoch in range(2)}
    trials = collections.defaultdict(set)
    for process, trial, _ in begun:
        trials[process].add(trial)
    assert max(map(len, trials.values())) == 2 and len(trials) >= 4
    # Nor does a worker count as one less meanwhile.
    assert set(alive[alive.index(workers) :]) == {workers}
    assert "started anew" not in made.directory.log("chief").read_text()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kept", [True, False])
def test_a_tuner_that_keeps_too_much_is_renewed_and_one_that_leaves_garbage_is_not(
    make_search: Callable[..., Any], kept: bool
) -> None:
    config = {"max_trials": 6, "kept": kept}
    options = counting(max_worker_trials=None, max_worker_megabytes=10)
    made = make_search("long_lived_tuners.growing", config, options)
    found = made.run(workers=1)
    each_once(found.record, 6)
    processes = {process for process, _ in notes(made.directory.root)}
    # The first trial's megabytes are there whatever happens: only what comes on top of them tells.
    assert len(processes) == (3 if kept else 1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", ["goes", "begins"])
def test_a_worker_that_is_killed_at_the_moment_of_its_renewal_loses_no_trial(
    make_search: Callable[..., Any], moment: str
) -> None:
    options = SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, max_worker_trials=2)
    made = make_search("long_lived_tuners.halting", {"max_trials": 6, "moment": moment}, options)
    halted = made.directory.root / "halted"
    killed: list[int] = []

    def kill(running: Any, record: SearchRecord) -> None:
        if halted.exists() and not killed and halted.read_text():
            assert all(trial.status is not TrialStatus.RUNNING for trial in record.trials) or moment == "goes"
            killed.append(int(halted.read_text()))
            os.kill(killed[0], signal.SIGKILL)

    found = made.run(workers=1, watch=kill)
    assert killed
    each_once(found.record, 6)
    assert [trial for _, trial in notes(made.directory.root)] == [str(trial) for trial in range(6)]


@pytest.mark.timeout(300)
def test_a_process_that_only_ends_with_that_code_is_not_started_for_ever(make_search: Callable[..., Any]) -> None:
    with pytest.raises(SearchError, match=r"worker-0 died 4 times before any trial began.*exit code 79"):
        make_search("long_lived_tuners.pretending", {"max_trials": 2}).run(workers=1)
