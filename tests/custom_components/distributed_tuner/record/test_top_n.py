"""Which configurations are handed on, and what is said where there are too few."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from custom_components.distributed_tuner.record import top_n
from custom_components.distributed_tuner.record.record import TrialStatus
from tests.custom_components.distributed_tuner.records import search, trial


def test_the_best_distinct_ones_are_chosen() -> None:
    record = search(trial("0", 3.0, x=1), trial("1", 2.0, x=1), trial("2", 5.0, x=2), trial("3", 4.0, x=3))
    assert [each.trial_id for each in top_n.choose(record, 2)] == ["1", "3"]


def test_too_few_of_a_search_without_failures_says_how_to_get_more() -> None:
    record = search(trial("0", 1.0, x=1), trial("1", 2.0, x=1))
    with pytest.raises(top_n.TooFewTrials) as few:
        top_n.choose(record, 2)
    assert str(few.value).splitlines() == [
        "the search found 1 distinct completed configuration, 2 needed (2 trials: 2 completed, 0 failed or stopped).",
        "Try more trials than 2 (Hyperband: longer ones, its brackets grow with their epochs), "
        "widen the search space, or ask for the best 1 only.",
    ]


def test_too_few_of_a_search_that_ended_early_says_why() -> None:
    record = search(trial("0", 1.0, x=1), ran_out="the search space has only 1 configuration, and all were tried")
    with pytest.raises(top_n.TooFewTrials) as few:
        top_n.choose(record, 2)
    assert str(few.value).splitlines()[1:] == [
        "It ended early: the search space has only 1 configuration, and all were tried.",
        "Widen the search space, or ask for the best 1 only.",
    ]
    with pytest.raises(top_n.TooFewTrials) as none:
        top_n.choose(search(ran_out="there is nothing to vary"), 1)
    assert str(none.value).splitlines()[1:] == ["It ended early: there is nothing to vary.", "Widen the search space."]


def test_too_few_lists_the_failures_the_first_one_in_full() -> None:
    trace = "Traceback (most recent call last):\n  File x\nValueError: bad units"
    failures = [trial(str(n), None, TrialStatus.FAILED, x=n, message=trace) for n in range(7)]
    unexplained = trial("7", None, TrialStatus.STOPPED)
    with pytest.raises(top_n.TooFewTrials) as few:
        top_n.choose(search(unexplained, *failures, stop_reason="7 trials failed in a row"), 1)
    assert str(few.value).splitlines() == [
        "the search found 0 distinct completed configurations, 1 needed (8 trials: 0 completed, 8 failed or stopped).",
        "It was stopped: 7 trials failed in a row",
        *(f"trial 0: {trace}".splitlines()),
        *(f"trial {n}: ValueError: bad units" for n in range(1, 5)),
        "and 3 more",
    ]


def test_the_first_failure_is_the_one_that_ended_first_and_has_a_reason() -> None:
    trace = "Traceback (most recent call last):\n  File x\nValueError: {}"
    late = trial("5", None, TrialStatus.FAILED, message=trace.format("late"))
    early = trial("3", None, TrialStatus.FAILED, message=trace.format("early"))
    with pytest.raises(top_n.TooFewTrials) as few:
        top_n.choose(search(late, trial("1", None, TrialStatus.FAILED), early), 1)
    assert str(few.value).splitlines()[1:] == [
        "trial 1: no reason given",
        *f"trial 3: {trace.format('early')}".splitlines(),
        "trial 5: ValueError: late",
    ]


def test_too_few_names_the_process_that_gave_up_and_says_nothing_twice() -> None:
    record = search(stop_reason="tuner_fn raised KeyError")
    with pytest.raises(top_n.TooFewTrials) as few:
        top_n.choose(record, 1, ("worker-0", "tuner_fn raised KeyError", "Traceback …\nKeyError"))
    assert str(few.value).splitlines()[1:] == [
        "It was stopped: tuner_fn raised KeyError",
        "Reported by worker-0.",
        "Traceback …",
        "KeyError",
    ]
    with pytest.raises(top_n.TooFewTrials, match=r"(?m)^chief gave up: the disk is full$"):
        top_n.choose(record, 1, ("chief", "the disk is full", ""))


def test_results_are_flat_rows_best_first_without_the_oracles_entries() -> None:
    internal: dict[str, Any] = {"tuner/epochs": 3}
    record = search(trial("0", 2.0, x=1, **internal), trial("1", 1.0, x=2), trial("2", None))
    assert top_n.results(record) == [{"trial_id": "1", "score": 1.0, "x": 2}, {"trial_id": "0", "score": 2.0, "x": 1}]


def test_a_configuration_is_handed_on_without_the_oracles_entries() -> None:
    config = {"space": [{"class_name": "Int"}], "values": {"x": 1, "tuner/epochs": 3}}
    assert top_n.without_internals(config) == {"space": [{"class_name": "Int"}], "values": {"x": 1}}
    assert "tuner/epochs" in config["values"]


def test_results_keep_the_order_of_the_search_space_and_leave_out_what_is_the_oracles_own() -> None:
    tried: dict[str, Any] = {"units": 8, "tuner/epochs": 2, "activation": "relu", "rate": 0.1}
    empty = dataclasses.replace(trial("2", 2.0), hyperparameters={})
    record = search(trial("0", 3.0, **tried), trial("1", 1.0, **tried), empty, trial("3", None, **tried))
    assert [list(row.items()) for row in top_n.results(record)] == [
        [("trial_id", trial_id), ("score", score), ("units", 8), ("activation", "relu"), ("rate", 0.1)]
        for trial_id, score in (("1", 1.0), ("0", 3.0))
    ]
