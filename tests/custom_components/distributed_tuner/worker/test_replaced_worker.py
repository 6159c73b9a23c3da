"""A worker's process that comes back when another one of the same worker has long taken its place."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from custom_components.distributed_tuner.errors import ExitCode
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from tests.custom_components.distributed_tuner.guests import Guests

_WORKER = "twice"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("told", [True, False], ids=["is told to go", "goes on"])
def test_a_process_that_was_suspended_takes_nothing_from_its_successor(
    make_search: Callable[..., Any], guests: Guests, told: bool
) -> None:
    steps: list[str] = []

    def stays(record: SearchRecord) -> list[tuple[str, Outcome]]:
        return [(stay.worker, stay.outcome) for trial in record.trials for stay in trial.stays]

    def watch(running: Any, record: SearchRecord) -> None:
        held = stays(record)
        if not steps:
            steps.append("begun")
            guests.start("old", running.directory, running.token, worker=_WORKER)
        elif steps == ["begun"] and (_WORKER, Outcome.RUNNING) in held:
            steps.append("suspended")
            guests.tell("old", signal.SIGSTOP)
        elif steps[-1] == "suspended" and (_WORKER, Outcome.LOST) in held:
            steps.append("succeeded")
            guests.start("new", running.directory, running.token, worker=_WORKER)
        elif steps[-1] == "succeeded" and (_WORKER, Outcome.RUNNING) in held:
            steps.append("woken")
            if told:
                guests.tell("old", signal.SIGTERM)
            guests.tell("old", signal.SIGCONT)

    made = make_search("waiting", {"max_trials": 8, "seconds": 3.0})
    found = made.run(workers=1, watch=watch)
    assert steps[-1] == "woken"
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 8
    outcomes = [outcome for worker, outcome in stays(found.record) if worker == _WORKER]
    assert outcomes.count(Outcome.LOST) == 1 and Outcome.RELEASED not in outcomes
    assert guests.exit_code("old") == (ExitCode.PREEMPTED if told else ExitCode.ABANDONED)
    assert guests.exit_code("new") == ExitCode.DONE
