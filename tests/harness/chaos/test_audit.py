"""The audit finds what it is there to find."""

from __future__ import annotations

import dataclasses
from typing import Any

from custom_components.distributed_tuner.record.record import (
    Direction,
    Outcome,
    SearchRecord,
    Stay,
    TrialRecord,
    TrialStatus,
)
from tests.harness.chaos.audit import Expected, audit
from tests.harness.chaos.training_log import START, Line

GOOD = TrialRecord(
    "0", TrialStatus.COMPLETED, {"x": 1}, 0.5, 1, 2, stays=(Stay("worker-0", 1.0, 5.0, Outcome.COMPLETED),)
)
LINES = [Line("0", 0, epoch, "7", 2.0 + epoch) for epoch in (START, 0, 1)]
JOURNAL = [{"trials": {"0": {"status": status, "score": 0.5}}} for status in ("RUNNING", "COMPLETED", "COMPLETED")]
STORED = {"0": {"status": "COMPLETED", "score": 0.5}}
EXPECTED = Expected(1, {"0": GOOD}, lease_seconds=3.0)


def seen(trial: TrialRecord | None = GOOD, **changes: Any) -> Any:
    trials = () if trial is None else (trial,)
    record = SearchRecord("s", "loss", Direction.MIN, trials, max_trials=1, started=0.0, ended=6.0, stop_reason=None)
    given = {"journal": JOURNAL, "stored": STORED, "lines": LINES, "expected": EXPECTED, **changes}
    return audit(record, **given)


def test_a_search_that_kept_its_promises() -> None:
    assert seen().problems == [] and (seen().trials_lost, seen().trials_run_twice) == (0, 0)


def test_trials_that_are_missing_or_open_are_lost() -> None:
    assert seen(None).trials_lost == 1
    waiting = dataclasses.replace(GOOD, status=TrialStatus.WAITING)
    assert seen(waiting).trials_lost == 1 and seen(waiting).problems


def test_a_trial_that_ended_or_started_again_was_run_twice() -> None:
    again = [*JOURNAL, {"trials": {"0": {"status": "RUNNING", "score": None}}}]
    assert seen(journal=again).trials_run_twice == 1
    assert seen(lines=[*LINES, Line("0", 0, START, "8", 9.0)]).trials_run_twice == 1


def test_another_result_than_that_of_a_search_left_alone_is_a_problem() -> None:
    (problem,) = seen(dataclasses.replace(GOOD, epochs=3)).problems
    assert problem == "trial 0: epochs is 3, left alone it is 2"
    (problem,) = seen(stored={}).problems
    assert "its trial.json says None" in problem
    failed = dataclasses.replace(GOOD, status=TrialStatus.FAILED, message="ValueError: no")
    expected = Expected(1, failed={"0": "no layer"})
    assert any("should have failed with 'no layer'" in problem for problem in seen(failed, expected=expected).problems)
