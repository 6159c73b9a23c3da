"""Each of keras-tuner's oracles behind the suggester: stored at any step and restored, its search goes on unchanged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.oracle import patches
from custom_components.distributed_tuner.oracle.calls import OracleError
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.study.answers import NoSuggestion, Result, Suggested, Verdict

OBJECTIVE = kt.Objective("val_loss", "min")
WORKERS = ("worker-0", "worker-1", "worker-2")

Suggestion = tuple[str, dict[str, Any]]


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Int("units", 1, 4)
    hp.Choice("rate", [0.1, 0.01])
    with hp.conditional_scope("units", [3, 4]):
        hp.Boolean("wide")
    return hp


def continuous() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    hp.Float("y", 0.0, 1.0)
    return hp


ORACLES: dict[str, Callable[[], kt.Oracle]] = {
    "random": lambda: kt.oracles.RandomSearchOracle(
        OBJECTIVE, max_trials=9, hyperparameters=space(), seed=3, max_retries_per_trial=1
    ),
    "random_exhausted": lambda: kt.oracles.RandomSearchOracle(OBJECTIVE, hyperparameters=space(), seed=3),
    "hyperband": lambda: kt.oracles.HyperbandOracle(
        OBJECTIVE, max_epochs=4, factor=2, hyperparameters=space(), seed=3, max_retries_per_trial=1
    ),
    "grid": lambda: kt.oracles.GridSearchOracle(OBJECTIVE, hyperparameters=space(), max_retries_per_trial=1),
    "grid_limited": lambda: kt.oracles.GridSearchOracle(OBJECTIVE, max_trials=5, hyperparameters=space()),
}


def bayesian() -> kt.Oracle:
    return kt.oracles.BayesianOptimizationOracle(
        OBJECTIVE, max_trials=7, num_initial_points=3, hyperparameters=continuous(), seed=3
    )


class Run:
    """A search by three workers in lockstep, one step at a time: whoever holds a trial ends it, the others ask.

    Every fourth trial fails its first run, and what the oracle changes is stored as the chief stores it.
    """

    def __init__(self, make: Callable[[], kt.Oracle]) -> None:
        self.suggester = OracleSuggester(make())
        self.suggestions: list[Suggestion] = []
        self.ends: list[tuple[str, Verdict]] = []
        self.held: dict[str, str] = {}
        self.steps = 0
        self.over = False
        self._state: patches.State = {}
        self._trials: dict[str, Any] = {}
        self._failed: set[str] = set()

    def step(self) -> None:
        """One worker's turn."""
        worker = WORKERS[self.steps % len(WORKERS)]
        self.steps += 1
        if worker in self.held:
            self._finish(self.held.pop(worker))
        else:
            answer = self.suggester.suggest(worker)
            if isinstance(answer, Suggested):
                assert answer.trial_id not in self.held.values()
                self.held[worker] = answer.trial_id
                self.suggestions.append((answer.trial_id, dict(answer.hyperparameters)))
            self.over = answer in (NoSuggestion.EXHAUSTED, NoSuggestion.NOTHING_NEW) and not self.held
        self._store()

    def to_end(self) -> Run:
        """All the turns that are left."""
        while not self.over:
            assert self.steps < 500, "the search does not end"
            self.step()
        return self

    def restored(self, make: Callable[[], kt.Oracle]) -> Run:
        """The same search taken up by another process, from what was stored."""
        other = Run(make)
        other._state, other._trials = json.loads(encoding.dumps([self._state, self._trials]))
        other.suggester.restore(other._state, other._trials)
        other.held, other.steps, other.over = dict(self.held), self.steps, self.over
        other._failed = set(self._failed)
        return other

    def _finish(self, trial_id: str) -> None:
        trial = self.suggester.oracle.trials[trial_id]
        values = trial.hyperparameters.values
        score = math.sin(sum(3.0 * float(value) for value in values.values()))
        fails = int(trial_id) % 4 == 1 and trial_id not in self._failed
        if fails:
            self._failed.add(trial_id)
        result = self.suggester.finish(
            trial_id, succeeded=not fails, message="lost its way", reports=[Report(0, {"val_loss": score})]
        )
        self.ends.append((trial_id, result.verdict))

    def _store(self) -> None:
        patch = json.loads(encoding.dumps(self.suggester.changes()))
        patches.apply(self._state, patch["state"])
        self._trials.update(patch["trials"])


@pytest.mark.parametrize("make", [kt.oracles.RandomSearchOracle, kt.oracles.BayesianOptimizationOracle])
def test_a_space_that_only_trials_reveal_is_searched_when_they_have(make: Callable[..., kt.Oracle]) -> None:
    suggester = OracleSuggester(make(OBJECTIVE, max_trials=3, seed=1))
    first = suggester.suggest("a")
    assert isinstance(first, Suggested) and first.hyperparameters == {}
    assert suggester.suggest("b") is NoSuggestion.NOTHING_NEW
    met = kt.HyperParameters()
    met.Float("x", 0.0, 1.0)
    reports = [Report(0, {"val_loss": 1.0})]
    suggester.finish(first.trial_id, succeeded=True, reports=reports, hyperparameters=met.get_config())
    others = [suggester.suggest("a"), suggester.suggest("b")]
    assert all(isinstance(other, Suggested) and "x" in other.hyperparameters for other in others)
    assert suggester.suggest("c") is NoSuggestion.EXHAUSTED


@pytest.mark.parametrize("name", ORACLES)
def test_restored_at_any_step_the_search_goes_on_as_if_never_interrupted(name: str) -> None:
    make = ORACLES[name]
    whole = Run(make).to_end()
    assert len(whole.suggestions) >= 5
    interrupted = Run(make)
    while not interrupted.over:
        restored = interrupted.restored(make).to_end()
        assert interrupted.suggestions + restored.suggestions == whole.suggestions
        assert interrupted.ends + restored.ends == whole.ends
        interrupted.step()


def test_a_restored_bayesian_search_repeats_nothing_and_runs_as_many_trials() -> None:
    # What it suggests after its random start hangs on the state of a generator that keras-tuner does not store.
    whole = Run(bayesian).to_end()
    interrupted = Run(bayesian)
    while not interrupted.over:
        if interrupted.steps % 4 == 0:
            restored = interrupted.restored(bayesian).to_end()
            suggestions = interrupted.suggestions + restored.suggestions
            assert [trial_id for trial_id, _ in suggestions] == [trial_id for trial_id, _ in whole.suggestions]
            assert len({tuple(values.items()) for _, values in suggestions}) == len(whole.suggestions)
            assert suggestions[:3] == whole.suggestions[:3]
        interrupted.step()


@pytest.mark.parametrize("name", ORACLES)
def test_a_save_holds_what_changed_and_not_what_there_is(name: str) -> None:
    run = Run(ORACLES[name]).to_end()
    assert run.suggester.changes() == {"state": {}, "trials": {}}


def random_search(**options: Any) -> OracleSuggester:
    """A random search that has given trial 00 to a worker."""
    settings = {"objective": OBJECTIVE, "max_trials": 10, "hyperparameters": space(), "seed": 1, **options}
    suggester = OracleSuggester(kt.oracles.RandomSearchOracle(**settings))
    assert isinstance(suggester.suggest("worker-0"), Suggested)
    return suggester


def finish(suggester: OracleSuggester, *values: float, **end: Any) -> Result:
    reports = [Report(step, {"val_loss": value}) for step, value in enumerate(values)]
    return suggester.finish("00", **{"succeeded": True, "reports": reports, **end})


def test_a_completed_trial_has_its_best_step_as_its_score() -> None:
    result = finish(random_search(), 3.0, 1.0, 2.0)
    assert (result.verdict, result.score, result.best_step) == (Verdict.COMPLETED, 1.0, 1)


NOT_FINITE = pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])


@NOT_FINITE
@pytest.mark.parametrize(("retries", "verdict"), [(0, Verdict.FAILED), (1, Verdict.RETRY)])
def test_a_diverged_trial_is_retried_or_failed(value: float, retries: int, verdict: Verdict) -> None:
    result = finish(random_search(max_retries_per_trial=retries), value, value)
    assert (result.verdict, result.score) == (verdict, None)
    assert result.message is not None
    assert result.message.startswith(f"the objective 'val_loss' was {value} at steps 0 to 1: the training diverged, or")


@NOT_FINITE
@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("own", [False, True], ids=["keras-tuner's", "the user's own"])
def test_the_best_of_the_steps_with_a_finite_objective_counts(value: float, direction: str, own: bool) -> None:
    suggester = random_search(objective=kt.Objective("val_loss", direction))
    if own:
        stock = suggester.oracle.update_trial
        suggester.oracle.update_trial = lambda *args, **kwargs: stock(*args, **kwargs)
    result = finish(suggester, value, 2.0, 1.0, value, 3.0)
    assert (result.verdict, result.message) == (Verdict.COMPLETED, None)
    assert (result.score, result.best_step) == ((1.0, 2) if direction == "min" else (3.0, 4))


def test_a_step_counts_only_with_all_that_was_reported_for_it() -> None:
    reports = [Report(0, {"val_loss": 1.0}), Report(0, {"val_loss": math.nan}), Report(1, {"val_loss": 2.0})]
    result = finish(random_search(), reports=reports)
    assert (result.score, result.best_step) == (2.0, 1)
    result = finish(random_search(), reports=reports[:2])
    assert result.verdict is Verdict.FAILED and "nan at step 0" in (result.message or "")


def test_a_good_value_after_a_retry_counts() -> None:
    suggester = random_search(max_retries_per_trial=1)
    assert finish(suggester, math.nan).verdict is Verdict.RETRY
    again = suggester.suggest("w")
    assert isinstance(again, Suggested) and again.trial_id == "00"
    result = finish(suggester, 0.5)
    assert (result.verdict, result.score, result.message) == (Verdict.COMPLETED, 0.5, None)


def test_several_objectives_count_where_their_sum_is_finite() -> None:
    objective = [kt.Objective("a", "min"), kt.Objective("b", "max")]
    steps = [(math.nan, 1.0), (math.inf, math.inf), (3.0, 1.0), (0.0, math.inf), (5.0, 4.0)]
    result = finish(
        random_search(objective=objective), reports=[Report(i, {"a": a, "b": b}) for i, (a, b) in enumerate(steps)]
    )
    assert (result.verdict, result.score, result.best_step) == (Verdict.COMPLETED, 1.0, 4)


class Undecided(kt.oracles.RandomSearchOracle):
    """Makes a score of its own out of what trials report."""

    def score_trial(self, trial: Any) -> None:
        trial.score, trial.best_step = math.nan, 0


def test_a_score_that_is_no_number_is_told_as_the_oracles() -> None:
    suggester = OracleSuggester(Undecided(OBJECTIVE, max_trials=3, hyperparameters=space(), max_retries_per_trial=0))
    assert isinstance(suggester.suggest("worker-0"), Suggested)
    suggester.changes()
    result = suggester.finish("0", succeeded=True, reports=[Report(0, {"val_loss": 1.0})])
    assert result.verdict is Verdict.FAILED
    assert result.message == "Undecided gave the trial the score nan: it counts as failed"
    (trial,) = suggester.changes()["trials"].values()
    assert trial["message"] == result.message


def test_a_trial_without_its_objective_says_what_it_reported() -> None:
    result = random_search().finish("00", succeeded=True, reports=[Report(0, {"loss": 1.0, "accuracy": 0.5})])
    assert result.verdict is Verdict.FAILED
    assert result.message is not None
    assert result.message.startswith("the trial reported no 'val_loss'; it reported accuracy, loss.")
    result = random_search().finish("00", succeeded=True)
    assert result.verdict is Verdict.FAILED
    assert result.message == "the trial ended without reporting its objective 'val_loss'"


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_failing_trial_is_retried_as_often_as_the_oracle_says(retries: int) -> None:
    suggester = random_search(max_retries_per_trial=retries)
    for _ in range(retries):
        assert finish(suggester, succeeded=False, message="boom").verdict is Verdict.RETRY
        assert suggester.queued() == {"00"}
        again = suggester.suggest("worker-1")
        assert isinstance(again, Suggested) and again.trial_id == "00"
        assert suggester.queued() == frozenset()
    result = finish(suggester, succeeded=False, message="boom")
    assert (result.verdict, result.message) == (Verdict.FAILED, "boom")
    following = suggester.suggest("worker-1")
    assert isinstance(following, Suggested) and following.trial_id == "01"


def test_a_trial_that_may_not_be_retried_is_not() -> None:
    suggester = random_search(max_retries_per_trial=3)
    assert finish(suggester, succeeded=False, retry=False, message="stuck").verdict is Verdict.FAILED
    assert suggester.queued() == frozenset()


def test_a_trial_that_its_tuner_dropped_is_not_retried_and_says_so() -> None:
    suggester = random_search(max_retries_per_trial=3)
    result = finish(suggester, succeeded=False, retry=False, dropped=True, message="pruned")
    assert (result.verdict, result.message) == (Verdict.DROPPED, "pruned")
    assert suggester.queued() == frozenset()


def test_a_result_that_comes_while_its_trial_waits_for_a_retry_ends_the_wait() -> None:
    suggester = random_search(max_retries_per_trial=1)
    assert finish(suggester, succeeded=False, message="boom").verdict is Verdict.RETRY
    assert finish(suggester, 1.0).verdict is Verdict.COMPLETED
    following = suggester.suggest("worker-1")
    assert isinstance(following, Suggested) and following.trial_id == "01"


def test_a_retried_trial_has_nothing_of_its_first_run() -> None:
    suggester = random_search(max_retries_per_trial=1)
    finish(suggester, math.inf)
    suggester.suggest("worker-1")
    state = suggester.oracle.trials["00"].get_state()
    assert (state["score"], state["message"], state["metrics"]["metrics"]) == (None, None, {})
    assert finish(suggester, 5.0).score == 5.0


def test_more_failures_in_a_row_than_the_oracle_bears_are_left_to_the_study() -> None:
    suggester = random_search(max_consecutive_failed_trials=1)
    assert suggester.max_consecutive_failures == 1
    assert finish(suggester, succeeded=False, message="boom").verdict is Verdict.FAILED


def test_entries_that_a_worker_met_join_the_space() -> None:
    suggester = random_search()
    config = suggester.oracle.trials["00"].get_state()["hyperparameters"]
    met = kt.HyperParameters.from_config(config)
    met.Choice("late", ["a", "b"])
    result = finish(suggester, 1.0, hyperparameters=met.get_config())
    assert result.hyperparameters is not None and result.hyperparameters["late"] == "a"
    assert "late" not in {entry["config"]["name"] for entry in suggester.space()["space"]}
    suggester.changes()
    assert "late" in {entry["config"]["name"] for entry in suggester.space()["space"]}


class Fragile(kt.oracles.RandomSearchOracle):
    """A user's oracle that breaks now and then."""

    broken = True

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if self.broken:
            raise ZeroDivisionError("no such luck")
        return super().populate_space(trial_id)

    def score_trial(self, trial: Any) -> None:
        if self.broken:
            raise ZeroDivisionError("no such score")
        super().score_trial(trial)


def test_an_oracle_that_raises_says_so_each_time_and_holds_no_lock() -> None:
    oracle = Fragile(OBJECTIVE, max_trials=3, hyperparameters=space(), seed=1)
    suggester = OracleSuggester(oracle)
    for _ in range(2):
        with pytest.raises(OracleError, match=r"Fragile\.create_trial raised ZeroDivisionError: no such luck"):
            suggester.suggest("worker-0")
    oracle.broken = False
    assert isinstance(suggester.suggest("worker-0"), Suggested)
    oracle.broken = True
    for _ in range(2):
        with pytest.raises(OracleError, match=r"Fragile\.end_trial raised ZeroDivisionError: no such score"):
            suggester.finish("0", succeeded=True, reports=[Report(0, {"val_loss": 1.0})])
    oracle.broken = False
    assert suggester.finish("0", succeeded=True, reports=[Report(0, {"val_loss": 1.0})]).score == 1.0
    assert isinstance(suggester.suggest("worker-0"), Suggested)


def test_a_space_that_takes_no_new_entries_says_so() -> None:
    oracle = kt.oracles.RandomSearchOracle(
        OBJECTIVE, max_trials=3, hyperparameters=space(), allow_new_entries=False, tune_new_entries=False
    )
    wider = space()
    wider.Choice("late", ["a"])
    refused = OracleSuggester(oracle).update_space(wider.get_config())
    assert refused is not None and "allow_new_entries=False" in refused
