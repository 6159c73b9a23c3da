"""Totals, ranks and reasons."""

from __future__ import annotations

import math

import pytest

from custom_components.distributed_tuner.record import summary
from custom_components.distributed_tuner.record.record import Outcome, TrialRecord, TrialStatus
from tests.custom_components.distributed_tuner.report.helpers import STARTED, completed, failed, search, stay

TRACEBACK = """the worker said:
Traceback (most recent call last):
  File "a.py", line 1, in f
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in f
    g()
    ^^^
ValueError: too large:
  the second line of the message
"""


def test_figures_of_a_search_that_goes_on_count_up_to_now() -> None:
    handed_on = TrialRecord(
        "3",
        TrialStatus.RUNNING,
        {"units": 8},
        stays=(stay(10, 20, Outcome.LOST, "w-1"), stay(30, None, Outcome.RUNNING, "w-2")),
    )
    given_back = TrialRecord("4", TrialStatus.WAITING, {"units": 9}, stays=(stay(0, 6, Outcome.RELEASED, "w-1"),))
    record = search(completed("1", 5.0), completed("2", 4.0), handed_on, given_back, failed("5", "no"), ended=None)
    totals = summary.summarise(record, STARTED + 50)
    assert (totals.completed, totals.failed, totals.running, totals.waiting) == (2, 1, 1, 1)
    assert (totals.distinct, totals.workers, totals.lost, totals.released) == (1, 3, 1, 1)
    assert totals.wall_seconds == 50
    assert totals.worker_seconds == 10 + 10 + (10 + 20) + 6 + 4
    assert totals.mean_busy_workers == pytest.approx(60 / 50)
    assert totals.best is not None
    assert totals.best.trial_id == "2"


def test_an_ended_search_does_not_grow_older() -> None:
    record = search(completed("1", 5.0), ended=100)
    assert summary.summarise(record, STARTED + 1e6) == summary.summarise(record, STARTED + 100)


def test_a_search_without_trials_has_figures() -> None:
    totals = summary.summarise(search(ended=None), STARTED)
    assert (totals.total, totals.workers, totals.best, totals.mean_busy_workers) == (0, 0, None, 0.0)


def test_a_repeated_configuration_shares_the_rank_of_the_better_trial() -> None:
    record = search(
        completed("a", 3.0, {"units": 1}),
        completed("b", 1.0, {"units": 2}),
        completed("c", 2.0, {"units": 2}),
        completed("d", 4.0, {"units": 3}),
    )
    places = [(place.trial.trial_id, place.rank, place.repeat) for place in summary.ranked(record)]
    assert places == [("b", 1, False), ("c", 1, True), ("a", 2, False), ("d", 3, False)]


def test_the_oracles_own_entries_are_no_hyperparameters() -> None:
    trials = (completed("a", 1.0, {"tuner/epochs": 3, "units": 1}), completed("b", 1.0, {"rate": 0.1, "units": 2}))
    assert summary.hyperparameter_names(trials) == ("units", "rate")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (TRACEBACK, "ValueError: too large: the second line of the message"),
        ("  stopped: 10 hours are over  \nmore", "stopped: 10 hours are over"),
        ("Traceback (most recent call last):\n  File cut off", "File cut off"),
        ("", summary.NO_REASON),
        (None, summary.NO_REASON),
    ],
)
def test_the_reason_is_the_line_that_says_why(message: str | None, reason: str) -> None:
    assert summary.reason(failed("1", message)) == reason


def test_failures_are_grouped_by_reason_with_the_commonest_first() -> None:
    record = search(
        failed("1", "out of memory"),
        failed("2", TRACEBACK),
        completed("3", math.nan),
        failed("4", "ValueError: too large: the second line of the message"),
        failed("5", None, TrialStatus.STOPPED),
        TrialRecord("6", TrialStatus.RUNNING, {}),
        completed("7", 1.0),
    )
    groups = {group.reason: [trial.trial_id for trial in group.trials] for group in summary.failure_groups(record)}
    assert next(iter(groups)) == "ValueError: too large: the second line of the message"
    assert groups == {
        "ValueError: too large: the second line of the message": ["2", "4"],
        "out of memory": ["1"],
        summary.NO_SCORE: ["3"],
        summary.NO_REASON: ["5"],
    }
