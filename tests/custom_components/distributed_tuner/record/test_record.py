"""A search as data: who is best, which configurations are the same, how the best came about."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given

from custom_components.distributed_tuner.record.record import (
    Direction,
    Outcome,
    SearchRecord,
    Stay,
    TrialRecord,
    TrialStatus,
)
from tests.custom_components.distributed_tuner.records import any_search, search, trial

NAN, INF = float("nan"), float("inf")


def ids(trials: tuple[TrialRecord, ...]) -> list[str]:
    return [each.trial_id for each in trials]


def test_completed_trials_come_best_first_in_the_objectives_direction() -> None:
    trials = (trial("0", 2.0), trial("1", 1.0), trial("2", 3.0))
    assert ids(search(*trials).completed()) == ["1", "0", "2"]
    assert ids(search(*trials, direction=Direction.MAX).completed()) == ["2", "0", "1"]


def test_equal_scores_keep_the_order_of_start() -> None:
    trials = (trial("0", 1.0), trial("1", 1.0))
    assert ids(search(*trials).completed()) == ids(search(*trials, direction=Direction.MAX).completed()) == ["0", "1"]


def test_what_has_no_finite_score_or_did_not_complete_is_not_among_them() -> None:
    odd = [trial(str(n), score) for n, score in enumerate((NAN, INF, -INF, None))]
    others = [trial(str(n), 0.0, status) for n, status in enumerate(TrialStatus, 10) if status != "COMPLETED"]
    assert ids(search(*odd, *others, trial("99", 5.0)).completed()) == ["99"]


def test_of_each_configuration_only_the_best_trial_counts() -> None:
    brackets: list[dict[str, Any]] = [{"tuner/bracket": number} for number in range(2)]
    trials = (trial("0", 2.0, a=1, **brackets[0]), trial("1", 1.0, a=1, **brackets[1]), trial("2", 3.0, a=2))
    assert ids(search(*trials).distinct()) == ["1", "2"]


@given(any_search())
def test_distinct_trials_are_completed_ones_in_order_and_no_two_alike(record: SearchRecord) -> None:
    completed, distinct = record.completed(), record.distinct()
    assert list(distinct) == [each for each in completed if any(each is kept for kept in distinct)]
    assert len({each.configuration for each in distinct}) == len(distinct)
    assert {each.configuration for each in distinct} == {each.configuration for each in completed}


def test_failed_are_those_that_ended_without_a_score() -> None:
    record = search(*(trial(str(n), None, status) for n, status in enumerate(TrialStatus)))
    assert {each.status for each in record.failed()} == {TrialStatus.FAILED, TrialStatus.STOPPED}
    assert [record.count(status) for status in TrialStatus] == [1] * len(TrialStatus)


def test_the_best_so_far_only_gets_better_in_the_order_of_ends() -> None:
    record = search(trial("3", 1.0), trial("1", 3.0), trial("2", 4.0), trial("4", 0.5), trial("5", 0.5))
    assert [(when, each.score) for when, each in record.best_so_far()] == [(1.0, 3.0), (3.0, 1.0), (4.0, 0.5)]


@given(any_search())
def test_the_last_best_so_far_is_the_best(record: SearchRecord) -> None:
    course = list(record.best_so_far())
    assert all(before[0] <= after[0] for before, after in itertools.pairwise(course))
    ended = [each for each in record.completed() if each.ended is not None]
    assert [each.score for _, each in course[-1:]] == [each.score for each in ended[:1]]


def test_workers_are_those_that_ever_held_a_trial() -> None:
    stays = (Stay("worker-1", 0, 1, Outcome.LOST), Stay("worker-0", 1, None, Outcome.RUNNING))
    moved = TrialRecord("0", TrialStatus.RUNNING, {}, stays=stays)
    assert search(moved).workers() == ("worker-0", "worker-1")
    assert moved.ended is None
    assert TrialRecord("1", TrialStatus.WAITING, {}).ended is None
