"""Hyperband as a whole: the formula's trials in each bracket and round, whoever fails or is killed on the way."""

from __future__ import annotations

import collections
import itertools
import json
import os
import signal
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

from custom_components.distributed_tuner.oracle import hyperband
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.record import top_n
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.search import run as search
from custom_components.distributed_tuner.study.answers import NoSuggestion, Suggested, Verdict

# (bracket, round) -> number of trials
Sizes = dict[tuple[int, int], int]


def oracle(max_epochs: int, factor: int, direction: str = "min") -> kt.oracles.HyperbandOracle:
    space = kt.HyperParameters()
    space.Float("x", 0.0, 1.0)
    objective = kt.Objective("score", direction)
    return kt.oracles.HyperbandOracle(objective, max_epochs, factor, hyperparameters=space, seed=3)


def formula(made: kt.oracles.HyperbandOracle) -> Sizes:
    brackets = range(made._get_num_brackets())
    return {(b, r): made._get_size(b, r) for b in brackets for r in range(made._get_num_rounds(b))}


def sizes(made: kt.oracles.HyperbandOracle, trials: Mapping[str, Mapping[str, Any]]) -> Sizes:
    """Counts trials, their values by id. The bracket is that in which the first of a trial's ancestors began.

    What Hyperband itself writes down as `tuner/bracket` is the bracket it had come to by then.
    """
    begins = {made._get_epochs(bracket, 0): bracket for bracket in range(made._get_num_brackets())}

    def bracket(trial_id: str) -> int:
        values = trials[trial_id]
        return bracket(values["tuner/trial_id"]) if "tuner/trial_id" in values else begins[values["tuner/epochs"]]

    return dict(collections.Counter((bracket(trial_id), values["tuner/round"]) for trial_id, values in trials.items()))


def run(suggester: OracleSuggester, fails: Callable[[str, Mapping[str, Any]], bool]) -> dict[str, Mapping[str, Any]]:
    """A whole search by three workers that take turns; the values of its trials by id."""
    held: dict[int, Suggested] = {}
    trials: dict[str, Mapping[str, Any]] = {}
    for turn in itertools.count():
        assert turn < 1000, "the search does not end"
        worker = turn % 3
        if worker in held:
            trial = held.pop(worker)
            result = suggester.finish(
                trial.trial_id,
                succeeded=not fails(trial.trial_id, trial.hyperparameters),
                message="boom",
                reports=[Report(0, {"score": float(trial.hyperparameters["x"])})],
            )
            assert result.verdict is not Verdict.RETRY
            continue
        answer = suggester.suggest(f"worker-{worker}")
        if isinstance(answer, Suggested):
            held[worker] = answer
            trials[answer.trial_id] = answer.hyperparameters
        elif answer in (NoSuggestion.EXHAUSTED, NoSuggestion.NOTHING_NEW) and not held:
            return trials
    raise AssertionError


FAILING: dict[str, Callable[[str, Mapping[str, Any]], bool]] = {
    "none": lambda trial_id, values: False,
    "the first two": lambda trial_id, values: trial_id in ("0000", "0001"),
    "one of each first round": lambda trial_id, values: trial_id in ("0001", "0012", "0018"),
    "the first of a second round": lambda trial_id, values: values["tuner/round"] == 1 and values["x"] < 0.05,
}


@pytest.mark.parametrize("failing", FAILING)
@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize(("max_epochs", "factor"), [(4, 2), (9, 3), (6, 3), (8, 2)])
def test_failures_leave_no_round_short(max_epochs: int, factor: int, direction: str, failing: str) -> None:
    made = oracle(max_epochs, factor, direction)
    suggester = OracleSuggester(made)
    trials = run(suggester, FAILING[failing])
    assert sizes(made, trials) == formula(made)
    failed = {trial_id for trial_id, values in trials.items() if FAILING[failing](trial_id, values)}
    assert failed.isdisjoint(values.get("tuner/trial_id") for values in trials.values())
    # What was shown to the oracle is not what is stored.
    assert {trial_id for trial_id in trials if suggester.oracle.trials[trial_id].status == "FAILED"} == failed
    assert all(suggester.oracle.trials[trial_id].score is None for trial_id in failed)


def test_the_best_of_a_round_go_on() -> None:
    made = oracle(9, 3)
    trials = run(OracleSuggester(made), FAILING["the first two"])
    first = [values["x"] for values in trials.values() if values["tuner/epochs"] == 1]
    gone_on = {values["x"] for values in trials.values() if values["tuner/initial_epoch"] == 1}
    left = sorted(first[2:])
    assert len(first) == 9 and gone_on == set(left[:3])


def test_where_every_trial_of_a_round_fails_none_goes_on() -> None:
    made = oracle(4, 2)
    trials = run(OracleSuggester(made), lambda trial_id, values: int(trial_id) < 4)
    assert sizes(made, trials) == {size: n for size, n in formula(made).items() if size not in ((2, 1), (2, 2))}


def test_other_oracles_see_no_change() -> None:
    made = kt.oracles.RandomSearchOracle(kt.Objective("score", "min"), hyperparameters=oracle(4, 2).get_space())
    suggester = OracleSuggester(made)
    trial = suggester.suggest("worker-0")
    assert isinstance(trial, Suggested)
    suggester.finish(trial.trial_id, succeeded=False, message="boom")
    with hyperband.failures_thrown_out(made):
        assert suggester.oracle.trials[trial.trial_id].status == "FAILED"


# Whole searches with real models.


def starts(root: Path) -> list[dict[str, Any]]:
    """What each trial began its training with, as the trials themselves wrote it down."""
    return [json.loads(line) for line in (root / "starts.log").read_text().splitlines()]


def checkpoint(root: Path, trial_id: str) -> Any:
    """The first kernel in the best weights that a trial left."""
    reader = tf.train.load_checkpoint(str(root / "hyperband" / f"trial_{trial_id}" / "checkpoint"))
    return reader.get_tensor("layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE")


def assert_whole(found: search.Found, root: Path, failed: Collection[str] = ()) -> None:
    values = {trial_id: state["hyperparameters"]["values"] for trial_id, state in found.trials.items()}
    for trial in found.record.failed():
        values[trial.trial_id] = dict(trial.hyperparameters)
    made = oracle(4, 2)
    assert sizes(made, values) == formula(made)
    assert sorted(trial.trial_id for trial in found.record.failed()) == sorted(failed)
    later = [start for start in starts(root) if "tuner/trial_id" in values[start["trial"]]]
    assert {start["trial"] for start in later} == {name for name, each in values.items() if each["tuner/round"] > 0}
    for start in later:
        expected = values[start["trial"]]
        assert start["initial_epoch"] == expected["tuner/initial_epoch"] > 0
        np.testing.assert_array_equal(np.float32(start["kernel"]), checkpoint(root, expected["tuner/trial_id"]))
        # The first step of its training has the loss of those weights.
        assert start["loss"] == pytest.approx(start["loss_of_kernel"], rel=1e-4)
    best = top_n.choose(found.record, 3)
    assert len({trial.configuration for trial in best}) == 3
    configs = [top_n.without_internals(found.trials[trial.trial_id]["hyperparameters"]) for trial in best]
    names = [set(config["values"]) for config in configs] + [set(row) for row in top_n.results(found.record)]
    assert not any(name.startswith("tuner/") for each in names for name in each)


@pytest.mark.timeout(300)
def test_a_worker_killed_in_the_middle_of_a_later_round_costs_no_trial(make_search: Callable[..., Any]) -> None:
    killed: list[str] = []

    def kill(running: Any, record: SearchRecord) -> None:
        for trial in record.trials:
            later = trial.status is TrialStatus.RUNNING and trial.hyperparameters.get("tuner/round", 0)
            pid = running.cluster.pid(trial.stays[-1].worker) if later else None
            if pid and not killed:
                killed.append(trial.trial_id)
                os.kill(pid, signal.SIGKILL)

    made = make_search("halving", {"seconds": 0.3})
    found = made.run(watch=kill)
    lost = [t.trial_id for t in found.record.trials for stay in t.stays if stay.outcome is Outcome.LOST]
    assert killed and lost == killed
    assert_whole(found, made.directory.root)


@pytest.mark.timeout(300)
def test_two_failures_in_the_first_round_cost_no_trial_of_later_ones(make_search: Callable[..., Any]) -> None:
    made = make_search("halving", {"seconds": 0.0, "failing": ["0000", "0002"]})
    found = made.run()
    assert_whole(found, made.directory.root, failed=["0000", "0002"])
    assert len(found.record.trials) == 15
