"""What an oracle cannot take from a trial fails that trial, and the search goes on, also when it is restored."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.oracle import patches
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.study.answers import NoSuggestion, Result, Suggested, Verdict
from tests.custom_components.distributed_tuner.quick_bayesian import QuickBayesian

OBJECTIVE = kt.Objective("loss", "min")
Config = dict[str, Any]


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Int("units", 1, 9)
    hp.Choice("rate", [0.1, 0.01])
    hp.Boolean("deep")
    with hp.conditional_scope("deep", [True]):
        hp.Float("drop", 0.0, 0.5)
    return hp


MAKERS: dict[str, Callable[..., kt.Oracle]] = {
    "random": kt.oracles.RandomSearchOracle,
    "hyperband": lambda objective, max_trials, **rest: kt.oracles.HyperbandOracle(objective, max_epochs=4, **rest),
    "grid": kt.oracles.GridSearchOracle,
    "bayesian": QuickBayesian,
}


class Search:
    """A search whose oracle is stored with each step, as the chief does."""

    def __init__(self, name: str, **options: Any) -> None:
        options = {"hyperparameters": space(), "seed": 1, "max_trials": 20, **options}
        self._name, self._options = name, options
        self.suggester = self._make()
        self._state: patches.State = {}
        self.trials: dict[str, Any] = {}

    def _make(self) -> OracleSuggester:
        return OracleSuggester(MAKERS[self._name](OBJECTIVE, **self._options))

    def suggest(self) -> tuple[str, Config]:
        """The next trial's id, and its hyperparameters as a worker gets them."""
        suggestion = self.suggester.suggest("w")
        assert isinstance(suggestion, Suggested)
        self.store()
        return suggestion.trial_id, copy.deepcopy(self.trials[suggestion.trial_id]["hyperparameters"])

    def finish(self, trial_id: str, met: Config | None = None, loss: float = 1.0, **end: Any) -> Result:
        """A trial ends."""
        told = json.loads(json.dumps([[0, {"loss": loss}], met]))
        reports = [Report(*told[0])]
        result = self.suggester.finish(trial_id, succeeded=True, reports=reports, hyperparameters=told[1], **end)
        self.store()
        return result

    def store(self) -> None:
        """Keeps what changed."""
        patch = json.loads(encoding.dumps(self.suggester.changes()))
        patches.apply(self._state, patch["state"])
        self.trials.update(patch["trials"])

    def goes_on(self) -> bool:
        """Whether it does, with this oracle and with one that another chief restores."""
        restored = self._make()
        restored.restore(*json.loads(json.dumps([self._state, self.trials])))
        for suggester in (restored, self.suggester):
            for _ in range(3):
                suggestion = suggester.suggest("w")
                if isinstance(suggestion, NoSuggestion):
                    return False
                suggester.finish(suggestion.trial_id, succeeded=True, reports=[Report(0, {"loss": 2.0})])
                encoding.dumps(suggester.changes())
        return True


def begun(name: str, **options: Any) -> Search:
    """A search that has completed a trial."""
    made = Search(name, **options)
    trial_id, met = made.suggest()
    assert made.finish(trial_id, met).verdict is Verdict.COMPLETED
    return made


def entry(name: str, **fields: Any) -> Config:
    """One more entry of the search space."""
    more = kt.HyperParameters()
    more.Float(name, 0.0, 1.0)
    made: Config = more.get_config()["space"][0]
    made["config"].update(fields)
    return made


WRONG = [("units", "many"), ("units", 10**300), ("units", 1e300), ("rate", 0.5), ("rate", "slow")]


@pytest.mark.parametrize(("name", "value"), WRONG)
@pytest.mark.parametrize("oracle", MAKERS)
def test_a_value_that_is_none_of_its_entry_fails_its_trial_where_the_oracle_looks_it_up(
    oracle: str, name: str, value: Any
) -> None:
    made = begun(oracle)
    trial_id, met = made.suggest()
    given = dict(met["values"])
    result = made.finish(trial_id, {**met, "values": {**given, name: value}})
    if oracle in ("random", "hyperband"):
        assert (result.verdict, result.hyperparameters and result.hyperparameters[name]) == (Verdict.COMPLETED, value)
    else:
        assert (result.verdict, result.hyperparameters) == (Verdict.FAILED, given)
        assert result.message is not None and f"hyperparameter {name!r} was set to {value!r:.60}" in result.message
    assert made.goes_on()


@pytest.mark.parametrize("oracle", MAKERS)
def test_values_that_a_trial_loses_fail_it_where_the_oracle_needs_them(oracle: str) -> None:
    made = begun(oracle)
    result = made.finish(made.suggest()[0], {"space": [], "values": {}})
    lost = oracle == "grid"
    assert result.verdict is (Verdict.FAILED if lost else Verdict.COMPLETED)
    assert not lost or "has no value any more" in str(result.message)
    assert made.goes_on()


@pytest.mark.parametrize("oracle", MAKERS)
def test_values_that_a_trial_adds_are_its_own_affair(oracle: str) -> None:
    made = begun(oracle)
    trial_id, met = made.suggest()
    met["values"] |= {"epochs": 3, "note": "with care"}
    assert made.finish(trial_id, met).verdict is Verdict.COMPLETED
    assert made.goes_on()


@pytest.mark.parametrize("oracle", MAKERS)
def test_an_entry_that_the_oracle_may_not_take_up_fails_its_trial(oracle: str) -> None:
    made = begun(oracle, allow_new_entries=False, tune_new_entries=False)
    trial_id, met = made.suggest()
    met["space"].append(entry("late"))
    met["values"]["late"] = 0.0
    result = made.finish(trial_id, met)
    assert result.verdict is Verdict.FAILED
    assert result.message is not None and "'late' is not in the search space" in result.message
    refused = made.suggester.update_space(met)
    assert refused is not None and "allow_new_entries=False" in refused
    assert made.goes_on()


@pytest.mark.parametrize("oracle", MAKERS)
def test_an_entry_that_trials_bring_is_searched_except_by_grid_search(oracle: str) -> None:
    made = begun(oracle)
    trial_id, met = made.suggest()
    met["space"].append(entry("late"))
    met["values"]["late"] = 0.0
    result = made.finish(trial_id, met)
    if oracle == "grid":
        assert result.verdict is Verdict.FAILED
        assert result.message is not None and "'late' was not in the search space when earlier trials" in result.message
    else:
        assert result.verdict is Verdict.COMPLETED
        assert "late" in made.suggest()[1]["values"]
    assert made.goes_on()


@pytest.mark.parametrize("tuned", [True, False])
def test_a_grid_search_may_meet_all_entries_in_its_first_trial_or_leave_later_ones_alone(tuned: bool) -> None:
    options: dict[str, Any] = {} if tuned else {"tune_new_entries": False}
    made = Search("grid", **options) if tuned else begun("grid", **options)
    trial_id, met = made.suggest()
    met["space"].append(entry("late"))
    met["values"]["late"] = 0.0
    assert made.finish(trial_id, met).verdict is Verdict.COMPLETED
    assert made.goes_on()


def test_an_entry_whose_default_the_oracle_cannot_place_fails_its_trial() -> None:
    made = begun("bayesian")
    trial_id, met = made.suggest()
    met["space"].append(entry("late", min_value=1e-5, sampling="log", default=0.0))
    result = made.finish(trial_id, met)
    assert result.verdict is Verdict.FAILED
    assert result.message is not None and "the default of hyperparameter 'late', 0.0" in result.message
    assert made.goes_on()


@pytest.mark.parametrize(
    ("loss", "verdict"), [(-1e300, Verdict.FAILED), (1e300, Verdict.FAILED), (1e38, Verdict.COMPLETED)]
)
def test_a_score_that_is_too_large_for_the_oracle_fails_its_trial(loss: float, verdict: Verdict) -> None:
    made = begun("bayesian")
    trial_id, met = made.suggest()
    result = made.finish(trial_id, met, loss=loss)
    assert result.verdict is verdict
    if verdict is Verdict.FAILED:
        assert result.message is not None and f"the objective 'loss' was {loss:g} at best" in result.message
    assert made.goes_on()
    others = begun("random")
    assert others.finish(others.suggest()[0], loss=loss).verdict is Verdict.COMPLETED


def test_a_trial_that_failed_itself_keeps_its_own_reason() -> None:
    made = begun("grid")
    trial_id, met = made.suggest()
    met["values"]["rate"] = 0.5
    result = made.suggester.finish(trial_id, succeeded=False, message="boom", hyperparameters=met)
    assert (result.verdict, result.message) == (Verdict.FAILED, "boom")
    made.store()
    assert made.goes_on()
