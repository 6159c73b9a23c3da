"""Workers come to a running search and leave it whenever they like, and it ends whole."""

from __future__ import annotations

import collections
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.errors import ExitCode
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from tests.custom_components.distributed_tuner.guests import Guests


def held_by(record: SearchRecord, worker: str) -> str | None:
    """The trial that the worker runs."""
    return next(
        (t.trial_id for t in record.trials if t.status is TrialStatus.RUNNING and t.stays[-1].worker == worker), None
    )


def runs(root: Path) -> collections.Counter[str]:
    """How often each trial was begun, by what the trials themselves wrote down."""
    log = root / "ran.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return collections.Counter(line.split()[0] for line in lines)


@pytest.mark.timeout(300)
def test_a_cluster_that_is_told_to_grow_grows(make_search: Callable[..., Any]) -> None:
    def grow(running: Any, record: SearchRecord) -> None:
        if held_by(record, "worker-0"):
            running.cluster.start(3)

    found = make_search("waiting", {"max_trials": 12, "seconds": 1.0}).run(workers=1, watch=grow)
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 12
    assert found.record.workers() == ("worker-0", "worker-1", "worker-2")
    assert found.record.trials[0].stays[0].worker == "worker-0"


@pytest.mark.timeout(300)
def test_guests_join_late_leave_for_good_and_lose_nothing(make_search: Callable[..., Any], guests: Guests) -> None:
    leaves = {"told": signal.SIGTERM, "killed": signal.SIGKILL}
    joined: list[str] = []
    left: dict[str, str] = {}  # guest -> the trial that it had

    def come_and_go(running: Any, record: SearchRecord) -> None:
        if not joined and record.count(TrialStatus.COMPLETED):
            joined.extend([*leaves, "stays"])
            for name in joined:
                guests.start(name, running.directory, running.token)
        for name, number in leaves.items():
            trial_id = held_by(record, name)
            # Each with a trial of its own: one that was given back may go to the other.
            if (
                trial_id
                and name not in left
                and runs(running.directory.root)[trial_id]
                and trial_id not in left.values()
            ):
                left[name] = trial_id
                guests.tell(name, number)

    made = make_search("waiting", {"max_trials": 16, "seconds": 1.5})
    found = made.run(workers=1, watch=come_and_go)
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 16
    assert set(found.record.workers()) == {"worker-0", *joined}
    assert {name: guests.exit_code(name) for name in joined} == {
        "told": ExitCode.PREEMPTED,
        "killed": 128 + signal.SIGKILL,
        "stays": ExitCode.DONE,
    }
    trials = {trial.trial_id: trial for trial in found.record.trials}
    ends = {name: [(stay.worker, stay.outcome) for stay in trials[left[name]].stays] for name in leaves}
    assert ends["told"][0] == ("told", Outcome.RELEASED) and ends["killed"][0] == ("killed", Outcome.LOST)
    others = {name: stays[1:] for name, stays in ends.items()}
    assert all(outcome is Outcome.COMPLETED and worker != name for name, [(worker, outcome)] in others.items())
    ran = runs(made.directory.root)
    assert {trial_id for trial_id, times in ran.items() if times > 1} == set(left.values())
    assert ran.total() == 18
