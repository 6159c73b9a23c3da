"""The patches of an oracle's state lead to that state, and each costs what changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.oracle import patches
from custom_components.distributed_tuner.oracle.state import OracleState
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.study.answers import Suggested

OBJECTIVE = kt.Objective("val_loss", "min")


class UsersOwn(kt.oracles.RandomSearchOracle):
    """An oracle that keeps something of its own, and takes liberties with keras-tuner's containers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tried_so_far: set[str] = set()
        self.seen: list[str] = []

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        self.seen.insert(0, trial_id)
        self._tried_so_far = {*self._tried_so_far, f"liberty-{trial_id}"}
        self._run_times["elsewhere"] += 1
        return super().populate_space(trial_id)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "seen": self.seen}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.seen = state["seen"]


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Int("units", 1, 50)
    hp.Float("rate", 0.0, 1.0)
    return hp


ORACLES: dict[str, Callable[[int], kt.Oracle]] = {
    "random": lambda trials: kt.oracles.RandomSearchOracle(
        OBJECTIVE, max_trials=trials, hyperparameters=space(), seed=3, max_retries_per_trial=1
    ),
    "bayesian": lambda trials: kt.oracles.BayesianOptimizationOracle(
        OBJECTIVE, max_trials=trials, num_initial_points=trials, hyperparameters=space(), seed=3
    ),
    "hyperband": lambda trials: kt.oracles.HyperbandOracle(
        OBJECTIVE, max_epochs=9, factor=3, hyperparameters=space(), seed=3, max_retries_per_trial=1
    ),
    "grid": lambda trials: kt.oracles.GridSearchOracle(OBJECTIVE, max_trials=trials, hyperparameters=space()),
    "users_own": lambda trials: UsersOwn(OBJECTIVE, max_trials=trials, hyperparameters=space(), seed=3),
}


def whole_state(oracle: kt.Oracle) -> dict[str, Any]:
    state = json.loads(encoding.dumps({**oracle.get_state(), "tried_so_far": sorted(oracle._tried_so_far)}))
    del state["display"]
    return dict(state)


def sizes(oracle: kt.Oracle, trials: int) -> list[int]:
    """Runs so many trials, every fifth of which fails once, and holds the merged patches to the oracle's state.

    Returns:
      The size of each step's patch, bytes.
    """
    suggester = OracleSuggester(oracle)
    merged: patches.State = {}
    written: list[int] = []

    def store() -> None:
        text = encoding.dumps(suggester.changes()["state"])
        written.append(len(text))
        patches.apply(merged, json.loads(text))
        rebuilt = patches.thaw(merged)
        rebuilt = {key: value for key, value in rebuilt.items() if not key.startswith("grid_queue")}
        rebuilt["tried_so_far"] = sorted(rebuilt["tried_so_far"])
        assert rebuilt == whole_state(oracle)

    for number in range(trials):
        answer = suggester.suggest("worker")
        store()
        assert isinstance(answer, Suggested)
        met = oracle.trials[answer.trial_id].hyperparameters.get_config()
        if number == trials // 2:
            late = kt.HyperParameters.from_config(met)
            late.Boolean("late")
            met = late.get_config()
        suggester.finish(
            answer.trial_id,
            succeeded=number % 5 != 1,
            reports=[Report(0, {"val_loss": float(number)})],
            message="lost its way",
            hyperparameters=met,
        )
        store()
    return written


@pytest.mark.parametrize("name", ORACLES)
def test_patches_lead_to_the_oracles_state(name: str) -> None:
    assert len(sizes(ORACLES[name](12), 12)) == 24


@pytest.mark.parametrize("name", ["random", "bayesian"])
def test_a_patch_does_not_grow_with_the_search(name: str) -> None:
    written = sizes(ORACLES[name](120), 120)
    assert max(written[-100:]) < 1.5 * max(written[10:100])


@pytest.mark.parametrize("name", ORACLES)
def test_a_restored_oracle_is_followed_from_where_it_is(name: str) -> None:
    first = OracleSuggester(ORACLES[name](12))
    merged: patches.State = {}
    trials: dict[str, Any] = {}

    def step(suggester: OracleSuggester) -> None:
        answer = suggester.suggest("worker")
        assert isinstance(answer, Suggested)
        suggester.finish(answer.trial_id, succeeded=True, reports=[Report(0, {"val_loss": 1.0})])
        patch = json.loads(encoding.dumps(suggester.changes()))
        patches.apply(merged, patch["state"])
        trials.update(patch["trials"])

    step(first)
    second = OracleSuggester(ORACLES[name](12))
    second.restore(json.loads(encoding.dumps(merged)), json.loads(encoding.dumps(trials)))
    step(second)
    rebuilt = {key: value for key, value in patches.thaw(merged).items() if not key.startswith("grid_queue")}
    rebuilt["tried_so_far"] = sorted(rebuilt["tried_so_far"])
    assert rebuilt == whole_state(second.oracle)


def test_the_space_is_that_of_the_last_changes() -> None:
    oracle = ORACLES["random"](3)
    state = OracleState(oracle)
    assert state.space == oracle.hyperparameters.get_config()
