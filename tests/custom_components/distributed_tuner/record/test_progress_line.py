"""How a search is going, in one line."""

from __future__ import annotations

import pytest

from custom_components.distributed_tuner.record import progress_line
from custom_components.distributed_tuner.record.record import Direction, Outcome, SearchRecord, TrialRecord, TrialStatus
from tests.custom_components.distributed_tuner.report.helpers import STARTED, completed, failed, search, stay

NOW = STARTED + 40


def running(trial_id: str, since: float) -> TrialRecord:
    return TrialRecord(trial_id, TrialStatus.RUNNING, {"units": 1}, stays=(stay(since, None, Outcome.RUNNING),))


def waiting(trial_id: str) -> TrialRecord:
    return TrialRecord(trial_id, TrialStatus.WAITING, {"units": 1}, stays=(stay(0, 5, Outcome.LOST),))


def test_the_line_says_how_the_search_goes() -> None:
    record = search(
        completed("1", 3.0), completed("2", 2.5), running("3", 36), failed("4", "no"), max_trials=7, ended=None
    )
    assert progress_line.line(record, NOW, 2) == (
        "2 of 7 trials done, 1 running, 1 failed; 2 workers; about 18 s left; best val_loss 2.5000 (trial 2, lower is "
        "better)"
    )


def test_what_there_is_not_is_left_out() -> None:
    line = progress_line.line(search(ended=None, direction=Direction.MAX), STARTED, 1)
    assert line == "0 trials done, 0 running, 0 failed; 1 worker; val_loss: higher is better"


def test_waiting_and_stopped_trials_are_told() -> None:
    record = search(waiting("1"), failed("2", "limit", TrialStatus.STOPPED), max_trials=5, ended=None)
    assert progress_line.line(record, NOW, 0) == (
        "0 of 5 trials done, 0 running, 1 waiting, 0 failed, 1 stopped; 0 workers; val_loss: lower is better"
    )


def test_an_ended_search_has_no_time_left_to_tell() -> None:
    assert "left" not in progress_line.line(search(completed("1", 1.0), max_trials=5), NOW, 2)


@pytest.mark.parametrize(
    ("record", "workers", "seconds"),
    [
        # Two of ten seconds each; five to go, of which one has had four seconds: (50 - 4) / 2.
        (search(completed("1", 1.0), completed("2", 1.0), running("3", 36), max_trials=7), 2, 23.0),
        # A trial that takes longer than the mean counts as about to end, not as less than nothing.
        (search(completed("1", 1.0), running("2", 0), max_trials=3), 1, 10.0),
        # What a lost trial has had is not begun again.
        (search(completed("1", 1.0), waiting("2"), max_trials=2), 1, 5.0),
        # More workers than trials do not help.
        (search(completed("1", 1.0), max_trials=3), 50, 10.0),
        (search(completed("1", 1.0), failed("2", "no"), max_trials=2), 1, 0.0),
        (search(completed("1", 1.0), max_trials=None), 1, None),
        (search(completed("1", 1.0), max_trials=9), 0, None),
        (search(running("1", 0), max_trials=9), 1, None),
    ],
)
def test_the_time_left_follows_from_completed_trials_and_workers(
    record: SearchRecord, workers: int, seconds: float | None
) -> None:
    assert progress_line.seconds_left(record, NOW, workers) == seconds
