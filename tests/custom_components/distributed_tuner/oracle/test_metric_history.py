"""What trials report is kept as keras-tuner keeps it, on both sides, and many reports cost no more each than few."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Callable
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.study.answers import Suggested, Verdict
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial
from custom_components.distributed_tuner.worker.remote_oracle import RemoteOracle


def oracle(objective: Any, made: Callable[..., kt.Oracle] = kt.oracles.RandomSearchOracle) -> kt.Oracle:
    space = kt.HyperParameters()
    space.Float("x", 0.0, 1.0)
    return made(objective, max_trials=5, hyperparameters=space, seed=1)


OBJECTIVES = [
    kt.Objective("mine", "min"),
    kt.Objective("mine", "max"),
    kt.Objective("val_accuracy", "max"),
    [kt.Objective("mine", "max"), kt.Objective("loss", "min")],
]


def random_reports(objective: Any, seed: int) -> list[tuple[int, dict[str, float]]]:
    """Steps in no order, some told twice, and metrics that come and go."""
    numbers = random.Random(seed)
    names = [one.name for one in objective] if isinstance(objective, list) else [objective.name]
    # keras-tuner scores several objectives by a metric of this name, which its tuners add.
    names += ["multi_objective"] if isinstance(objective, list) else []
    reports = []
    for _ in range(numbers.randint(1, 30)):
        metrics: dict[str, float] = {name: numbers.choice([1, 0.5, numbers.uniform(-1, 1)]) for name in names}
        for other in ("loss", "val_auc", "yours"):
            if numbers.random() < 0.5:
                metrics.setdefault(other, numbers.choice([math.nan, math.inf, 2.0, numbers.random()]))
        reports.append((numbers.randint(0, 20), metrics))
    return reports


def state(trial: Any) -> dict[str, Any]:
    kept = json.loads(json.dumps(trial.get_state()))
    return {name: kept[name] for name in ("metrics", "score", "best_step", "status")}


def told(objective: Any, reports: list[tuple[int, dict[str, float]]]) -> kt.engine.trial.Trial:
    """The trial as keras-tuner's own calls leave it."""
    stock = oracle(objective)
    stock.save, stock._save_trial, stock.verbose = lambda: None, lambda trial: None, 0
    trial = stock.create_trial("w")
    for step, metrics in reports:
        stock.update_trial(trial.trial_id, metrics, step=step)
    ended = kt.engine.trial.Trial(trial.hyperparameters, trial_id=trial.trial_id, status="COMPLETED")
    stock.end_trial(ended)
    return stock.trials[trial.trial_id]


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=["minimum", "maximum", "inferred", "several"])
def test_the_chief_keeps_what_keras_tuner_keeps(objective: Any) -> None:
    for seed in range(50):
        reports = random_reports(objective, seed)
        stock = told(objective, reports)
        suggester = OracleSuggester(oracle(objective))
        suggestion = suggester.suggest("w")
        assert isinstance(suggestion, Suggested)
        result = suggester.finish(suggestion.trial_id, succeeded=True, reports=[Report(*report) for report in reports])
        assert result.verdict is Verdict.COMPLETED, result.message
        trial = suggester.oracle.trials[suggestion.trial_id]
        assert repr(state(trial)) == repr(state(stock))
        assert (result.score, result.best_step) == (stock.score, stock.best_step)


class Answering:
    """A chief that has one trial."""

    def __init__(self, trial: dict[str, Any]) -> None:
        self._trial = trial
        self.told: list[messages.Finish] = []

    def ask(self, request: messages.Suggest | messages.Finish, **options: Any) -> messages.Turn | messages.Ended:
        """Answers as the chief does."""
        if isinstance(request, messages.Suggest):
            return messages.Turn(messages.Next.TRIAL, self._trial, attempt=0, search="this")
        self.told.append(request)
        return messages.Ended(accepted=True)


def remote(objective: Any) -> tuple[RemoteOracle, Answering]:
    local = oracle(objective)
    suggester = OracleSuggester(oracle(objective))
    suggester.suggest("w")
    chief = Answering(suggester.changes()["trials"]["0"])
    client: Any = chief
    return RemoteOracle(local, client, "w", "p", CurrentTrial(), threading.Event()), chief


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=["minimum", "maximum", "inferred", "several"])
def test_the_worker_keeps_what_keras_tuner_keeps(objective: Any) -> None:
    for seed in range(20):
        reports = random_reports(objective, seed)
        worker, chief = remote(objective)
        trial = worker.create_trial("w")
        for step, metrics in reports:
            assert worker.update_trial("0", metrics, step=step) is trial
        assert repr(state(trial)["metrics"]) == repr(state(told(objective, reports))["metrics"])
        trial.status = "COMPLETED"
        worker.end_trial(trial)
        assert repr(chief.told[0].reports) == repr(
            [(step, {name: float(value) for name, value in metrics.items()}) for step, metrics in reports]
        )


class Reading(kt.oracles.RandomSearchOracle):
    """Has an `update_trial` of its own, which keeps all."""

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Any:
        return super().update_trial(trial_id, metrics, step=step)


@pytest.mark.parametrize("made", [kt.oracles.RandomSearchOracle, Reading])
def test_a_metric_that_is_called_like_a_class_of_keras_is_one_like_any_other(made: Any) -> None:
    reported = {"mine": 3.0, "MeanIoU": 0.5, "val_PrecisionAtRecall": 0.5, "Metric": 0.5, "AUC": 0.5}
    suggester = OracleSuggester(oracle(OBJECTIVES[0], made))
    suggester.suggest("w")
    assert suggester.finish("0", succeeded=True, reports=[Report(0, reported)]).score == 3.0
    kept = suggester.changes()["trials"]["0"]["metrics"]["metrics"]
    assert {name: metric["direction"] for name, metric in kept.items()} == {
        **dict.fromkeys(reported, "min"),
        "AUC": "max",
    }
    worker, _ = remote(OBJECTIVES[0])
    trial = worker.create_trial("w")
    worker.update_trial("0", reported)
    assert trial.metrics.get_config()["metrics"] == kept


class Own(kt.oracles.RandomSearchOracle):
    """Does something of its own with metrics."""

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Any:
        return super().update_trial(trial_id, {"mine": metrics["mine"] * 2}, step=step)


def test_an_oracle_with_an_update_trial_of_its_own_is_asked() -> None:
    suggester = OracleSuggester(oracle(OBJECTIVES[0], Own))
    suggester.suggest("w")
    assert suggester.finish("0", succeeded=True, reports=[Report(0, {"mine": 3.0, "loss": 1.0})]).score == 6.0
    ours = oracle(OBJECTIVES[0])
    stock = ours.update_trial
    ours.update_trial = lambda trial_id, metrics, step=0: stock(trial_id, {"mine": 5.0}, step=step)
    suggester = OracleSuggester(ours)
    suggester.suggest("w")
    assert suggester.finish("0", succeeded=True, reports=[Report(0, {"mine": 3.0})]).score == 5.0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("steps", [1, 4000], ids=["one step", "many steps"])
def test_thousands_of_reports_cost_no_more_each_than_a_few(steps: int) -> None:
    """By keras-tuner's own calls it takes minutes, longer than the test's deadline."""
    suggester = OracleSuggester(oracle(OBJECTIVES[0]))
    suggester.suggest("w")
    reports = [(i % steps, {"mine": 1 / (i + 1), "loss": 2.0}) for i in range(4000)]
    worker, _ = remote(OBJECTIVES[0])
    worker.create_trial("w")
    result = suggester.finish("0", succeeded=True, reports=[Report(*report) for report in reports])
    for step, metrics in reports:
        worker.update_trial("0", metrics, step=step)
    assert result.best_step == steps - 1
