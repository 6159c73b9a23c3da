"""A configuration that was tried is not tried again, and a search that ends for want of others says so."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest
import typer.testing

from custom_components.distributed_tuner import __main__ as command_line
from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.oracle import populating
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus
from custom_components.distributed_tuner.study.answers import Aside, NoSuggestion, Suggested

OBJECTIVE = kt.Objective("score", "min")
Values = dict[str, Any]


def choices(*values: Any, **more: Sequence[Any]) -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Choice("x", list(values))
    for name, others in more.items():
        hp.Choice(name, list(others))
    return hp


def bayesian(space: kt.HyperParameters, max_trials: int, points: int = 2) -> kt.Oracle:
    return kt.oracles.BayesianOptimizationOracle(
        OBJECTIVE, max_trials, num_initial_points=points, seed=1, hyperparameters=space
    )


class Listed(kt.oracles.RandomSearchOracle):
    """Suggests what is on its list, in turn; the last one for ever."""

    listed: tuple[Values, ...] = ()
    asked = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        values = self.listed[min(self.asked, len(self.listed) - 1)]
        self.asked += 1
        return {"status": "RUNNING", "values": dict(values)}


def listed(*values: Values, space: kt.HyperParameters | None = None) -> Listed:
    oracle = Listed(OBJECTIVE, 20, 1, space or choices(1, 2, 3))
    oracle.listed = values
    return oracle


def run(suggester: OracleSuggester, fails: Callable[[Values], bool] = lambda values: False) -> list[Values]:
    """The values of all trials, by one worker."""
    made: list[Values] = []
    while isinstance(answer := suggester.suggest("w"), Suggested):
        values = dict(answer.hyperparameters)
        made.append(values)
        score = float(sum(value for value in values.values() if isinstance(value, (int, float))))
        reports = [Report(0, {"score": score})]
        suggester.finish(answer.trial_id, succeeded=not fails(values), message="no", reports=reports)
        assert len(made) < 100, "the search does not end"
    return made


def distinct(made: list[Values]) -> int:
    return len({json.dumps(values, sort_keys=True) for values in made})


def test_a_bayesian_search_tries_no_configuration_twice_and_says_that_there_are_no_more() -> None:
    suggester = OracleSuggester(bayesian(choices(1, 2), 6))
    assert sorted(values["x"] for values in run(suggester)) == [1, 2]
    assert suggester.aside() == Aside(True, "the search space has only 2 configurations, and all were tried")


def test_it_tries_all_of_a_space_before_it_ends() -> None:
    space = choices(1, 2, 3, y=[1, 2, 3, 4])
    with_conditions = choices("a", "b")
    with with_conditions.conditional_scope("x", ["b"]):
        with_conditions.Int("depth", 1, 6)
    for hp, size in ((space, 12), (with_conditions, 7)):
        made = run(OracleSuggester(bayesian(hp, 30)))
        assert len(made) == distinct(made) == size


def test_a_configuration_that_failed_is_not_tried_again_but_for_its_retries() -> None:
    oracle = bayesian(choices(1, 2, 3), 6)
    oracle.max_retries_per_trial = 1
    made = run(OracleSuggester(oracle), lambda values: values["x"] == 1)
    assert sorted(values["x"] for values in made) == [1, 1, 2, 3]


def test_one_that_runs_is_not_begun_again() -> None:
    suggester = OracleSuggester(bayesian(choices(1, 2, 3, 4), 9))
    first = [suggester.suggest(f"w{index}") for index in range(2)]
    for answer in first:
        assert isinstance(answer, Suggested)
        suggester.finish(answer.trial_id, succeeded=True, reports=[Report(0, {"score": 1.0})])
    later = [suggester.suggest(f"w{index}") for index in range(2)]
    values = [answer.hyperparameters["x"] for answer in (*first, *later) if isinstance(answer, Suggested)]
    assert sorted(values) == [1, 2, 3, 4]
    assert suggester.suggest("w2") is NoSuggestion.NOTHING_NEW


def test_who_wants_repeats_gets_them() -> None:
    suggester = OracleSuggester(bayesian(choices(1, 2), 6), repeat=True)
    assert len(run(suggester)) == 6
    assert suggester.aside() == Aside(False, None)
    suggester = OracleSuggester(listed({"x": 1}, {"x": 1}), repeat=True)
    assert len(run(suggester)) == 20


def test_an_oracle_of_somebodys_own_is_asked_again() -> None:
    oracle = listed({"x": 1}, {"x": 1}, {"x": 2.0}, {"x": 2}, {"x": 3}, {"x": 1})
    suggester = OracleSuggester(oracle)
    assert [values["x"] for values in run(suggester)] == [1, 2, 3]
    told = suggester.aside()
    assert told.repeated and told.ran_out is not None
    assert f"Listed suggested {populating.ASKED_AGAIN + 1} times in a row what had been tried before" in told.ran_out
    assert "repeat_configurations=True" in told.ran_out


def test_what_an_inactive_hyperparameter_is_makes_no_difference() -> None:
    space = choices("a", "b")
    with space.conditional_scope("x", ["b"]):
        space.Int("depth", 1, 6)
    oracle = listed({"x": "a"}, {"x": "a", "depth": 3}, {"x": "b", "depth": 3}, {"x": "b", "depth": 2}, space=space)
    assert run(OracleSuggester(oracle)) == [{"x": "a"}, {"x": "b", "depth": 3}, {"x": "b", "depth": 2}]


@pytest.mark.parametrize(
    "values", [{}, {"x": [1]}, {"x": 7}, {"x": 1, "tuner/epochs": 3}, {"x": 1, "seed": 4}, ["x"], None]
)
def test_what_is_no_known_configuration_is_left_as_it_is(values: Any) -> None:
    oracle: Any = listed({"x": 1})
    oracle._tried_so_far.add(oracle._compute_values_hash({"x": 1}))
    answer = {"status": "RUNNING", "values": values}
    oracle.populate_space = lambda trial_id: answer
    stand_in = populating.Populating(oracle, repeat=False)
    assert oracle.populate_space("1") is answer and stand_in.aside() == Aside()


def test_a_known_trial_stays_known_to_the_next_chief() -> None:
    first = OracleSuggester(bayesian(choices(1, 2, 3), 6))
    answer = first.suggest("w")
    assert isinstance(answer, Suggested)
    changes = first.changes()
    second = OracleSuggester(listed({"x": answer.hyperparameters["x"]}))
    second.restore({}, changes["trials"])
    second.oracle._tried_so_far = set(first.oracle._tried_so_far)
    assert second.suggest("w") is NoSuggestion.NOTHING_NEW


# Why a search ends early.


def random(space: kt.HyperParameters) -> kt.Oracle:
    return kt.oracles.RandomSearchOracle(OBJECTIVE, 60, 1, space)


def numbers(low: int, high: int) -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Int("x", low, high)
    return hp


class Stopping(kt.oracles.RandomSearchOracle):
    """Has enough after two trials."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        return {"status": "STOPPED"} if len(self.trials) == 2 else super().populate_space(trial_id)


@pytest.mark.parametrize(
    ("oracle", "words"),
    [
        (random(choices(1)), "the search space has only 1 configuration, and all were tried"),
        (random(choices(1, 2)), "the search space has only 2 configurations, and all were tried"),
        (random(kt.HyperParameters()), "no hyperparameter is known, so that there is nothing to vary"),
        (
            kt.oracles.GridSearchOracle(OBJECTIVE, 9, 1, choices(1, 2, 3)),
            "the grid of x has only 3 configurations, and all were tried",
        ),
        (kt.oracles.GridSearchOracle(OBJECTIVE, None, 1, choices(1, 2, 3)), None),
        (kt.oracles.GridSearchOracle(OBJECTIVE, 3, 1, choices(1, 2, 3)), None),
        (
            kt.oracles.HyperbandOracle(OBJECTIVE, 9, 3, seed=1, hyperparameters=choices(1, 2)),
            "the search space has only 2 configurations, and all were tried",
        ),
        (kt.oracles.HyperbandOracle(OBJECTIVE, 4, 2, seed=1, hyperparameters=numbers(1, 1000)), None),
        (
            kt.oracles.HyperbandOracle(OBJECTIVE, 4, 2, seed=1),
            "no hyperparameter is known, so that there is nothing to vary",
        ),
        (Stopping(OBJECTIVE, 9, 1, numbers(1, 9)), "Stopping has no more: its populate_space answered STOPPED after 2"),
    ],
)
def test_the_reason_of_an_early_end(oracle: kt.Oracle, words: str | None) -> None:
    suggester = OracleSuggester(oracle)
    assert run(suggester)
    told = suggester.aside().ran_out
    assert told is None if words is None else told is not None and told.startswith(words)


def test_random_draws_that_hit_on_nothing_new_are_told_with_what_is_left() -> None:
    oracle = random(numbers(1, 50))
    oracle._max_collisions = 0
    suggester = OracleSuggester(oracle)
    made = run(suggester)
    assert suggester.aside().ran_out == (
        f"RandomSearchOracle drew 1 times in a row at random what had been tried before: {len(made)} configurations of "
        "50 were"
    )


# Whole searches.


@pytest.fixture
def run_small(make_search: Callable[..., Any]) -> Callable[..., SearchRecord]:
    """Runs `astray_tuners.small`."""

    def run(name: str, workers: int = 2, function: str = "small", **given: Any) -> SearchRecord:
        options = SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, **given.pop("options", {}))
        made = make_search("waiting", {"oracle": name, **given}, options)
        properties = {**made.spec.exec_properties, "tuner_fn": f"astray_tuners.{function}"}
        made.spec = dataclasses.replace(made.spec, exec_properties=properties)
        record: SearchRecord = made.run(workers=workers).record
        return record

    return run


@pytest.mark.timeout(180)
def test_a_search_over_a_small_space_says_why_it_ended(run_small: Callable[..., SearchRecord], tmp_path: Path) -> None:
    record = run_small("bayesian")
    assert record.count(TrialStatus.COMPLETED) == len(record.trials) == len(record.distinct()) == 2
    assert record.ran_out == "the search space has only 2 configurations, and all were tried"
    (notice,) = record.notices
    assert notice.startswith("BayesianOptimizationOracle suggested configurations that had been tried; they were not")
    lines = typer.testing.CliRunner().invoke(command_line.app, ["status", str(tmp_path / "search")]).output.splitlines()
    assert lines[0].startswith("waiting (ended): 2 of 6 trials done")
    assert lines[1:3] == [f"ended early: {record.ran_out}", f"note: {notice}"]
    # More trials than before are asked for in vain, and the next run knows why.
    assert run_small("bayesian").ran_out == record.ran_out
    more = run_small("bayesian", options={"repeat_configurations": True})
    assert len(more.trials) == 6 and more.ran_out is None


@pytest.mark.timeout(180)
def test_hyperband_searches_a_space_that_only_its_trials_declare(run_small: Callable[..., SearchRecord]) -> None:
    record = run_small("late hyperband")
    assert {dict(trial.configuration)["late"] for trial in record.completed()} == {1, 2, 3, 4}
    assert any(trial.hyperparameters.get("tuner/round") == 2 for trial in record.trials)


def test_hyperparameters_that_only_a_models_fit_asks_for_are_searched(
    run_small: Callable[..., SearchRecord],
) -> None:
    record = run_small("", function="late")
    assert len(record.distinct()) == 2 and all("late" in trial.hyperparameters for trial in record.trials)


@pytest.mark.timeout(180)
def test_an_oracle_for_one_trial_at_a_time_is_told_as_that(run_small: Callable[..., SearchRecord]) -> None:
    record = run_small("climbing", seconds=1.0)
    assert record.stop_reason is not None and "_Climbing.create_trial raised TypeError" in record.stop_reason
    assert "while another trial ran" in record.stop_reason and "num_workers=1" in record.stop_reason


@pytest.mark.timeout(180)
def test_with_one_worker_it_runs(run_small: Callable[..., SearchRecord]) -> None:
    record = run_small("climbing", workers=1)
    assert [trial.score for trial in record.trials] == [1.0, 2.0, 3.0, 4.0] and record.stop_reason is None


def test_an_empty_space_is_refused_for_hyperband_too(run_small: Callable[..., SearchRecord]) -> None:
    with pytest.raises(SearchError, match="the search space is empty"):
        run_small("", function="nothing")
