"""Tuner functions whose searches keras-tuner's own rules lead astray."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import tensorflow as tf
from tfx.components.tuner.component import TunerFnResult


class _Reporting(kt.Tuner):
    """A trial whose objective is its hyperparameter `x`."""

    def run_trial(self, trial: Any, **kwargs: Any) -> dict[str, float]:
        return {self.oracle.objective.name: float(trial.hyperparameters.get("x"))}


def unplaced(fn_args: Any) -> TunerFnResult:
    """An objective of which only the name is known, and a tuner without a directory."""
    space = kt.HyperParameters()
    space.Int("x", 1, 4)
    oracle = kt.oracles.GridSearchOracle(fn_args.custom_config["objective"], hyperparameters=space)
    marker = Path(fn_args.working_dir, "as_given")
    directory = {"directory": str(marker)} if fn_args.custom_config.get("placed") else {}
    return TunerFnResult(tuner=_Reporting(oracle, **directory), fit_kwargs={})


class _Metric(tf.keras.callbacks.Callback):
    """Puts a metric among the logs, as callbacks that compute an F1 score do, and marks the weights with the epoch."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self._values = values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["val_f1"] = self._values[epoch]
        self.model.layers[-1].bias.assign([float(epoch)])


class _Measured(kt.HyperModel):
    def build(self, hp: kt.HyperParameters) -> tf.keras.Model:
        hp.Choice("metric", list(METRICS))
        model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(1,))])
        model.compile("sgd", loss="mse")
        return model

    def fit(self, hp: kt.HyperParameters, model: tf.keras.Model, *args: Any, **kwargs: Any) -> Any:
        values = METRICS[hp.get("metric")]
        kwargs["callbacks"] = [_Metric(values), *kwargs["callbacks"]]
        return model.fit(np.ones((1, 1)), np.ones((1, 1)), epochs=len(values), verbose=0, **kwargs)


METRICS = {
    "undefined at first": [math.nan, math.inf, 0.4, 0.7, 0.6, math.nan],
    "never defined": [math.nan, math.nan, -math.inf],
    "fine": [0.1, 0.2],
}


def undefined(fn_args: Any) -> TunerFnResult:
    """Models whose metric is not always a number, each of `METRICS` in turn."""
    where = {"directory": fn_args.working_dir, "project_name": "undefined"}
    tuner = kt.GridSearch(_Measured(), kt.Objective("val_f1", "max"), **where)
    return TunerFnResult(tuner=tuner, fit_kwargs={})


class _Declaring(kt.Tuner):
    """Declares its hyperparameters only in its trials, with defaults that are none of their values."""

    def run_trial(self, trial: Any, **kwargs: Any) -> float:
        units = trial.hyperparameters.Int("units", 32, 512, step=32, default=64.0)
        beyond = trial.hyperparameters.Int("beyond", 1, 8, default=100)
        return float(list(range(1000))[units] * 1000 + beyond)


def declaring(fn_args: Any) -> TunerFnResult:
    """A space that is known only once a trial has run."""
    oracle = kt.oracles.RandomSearchOracle(max_trials=2, seed=1)
    return TunerFnResult(tuner=_Declaring(oracle, directory=fn_args.working_dir), fit_kwargs={})


class _Numbers(kt.Tuner):
    """A trial whose score is its hyperparameters' sum; it asks for `late` itself, and writes down that it ran."""

    def run_trial(self, trial: Any, late: bool = False, seconds: float = 0.0, **kwargs: Any) -> float:
        hp = trial.hyperparameters
        if late:
            hp.Int("late", 1, 4)
        with Path(self.directory, "ran.log").open("a", encoding="utf-8") as file:
            file.write(f"{trial.trial_id} {sorted(hp.values.items())}\n")
        time.sleep(seconds)
        return float(sum(value for name, value in hp.values.items() if not name.startswith("tuner/")))


class _Climbing(kt.oracles.RandomSearchOracle):
    """Goes up from the trial before: it expects that one to have a score, as all do where one runs at a time."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if not self.start_order:
            return {"status": "RUNNING", "values": {"x": 1}}
        before = self.trials[self.start_order[-1]]
        step = 1 if before.score > -1.0 else -1
        return {"status": "RUNNING", "values": {"x": before.hyperparameters.values["x"] + step}}


def small(fn_args: Any) -> TunerFnResult:
    """Searches that end before their time, by the oracle that custom_config names."""
    space = kt.HyperParameters()
    config = fn_args.custom_config
    name = config["oracle"]
    if "late" not in name:
        space.Choice("x", [1, 2, 3, 4] if name == "climbing" else [1, 2])
    oracles: dict[str, Callable[[], kt.Oracle]] = {
        "bayesian": lambda: kt.oracles.BayesianOptimizationOracle(
            max_trials=6, num_initial_points=2, seed=1, hyperparameters=space
        ),
        "random": lambda: kt.oracles.RandomSearchOracle(max_trials=6, seed=1, hyperparameters=space),
        "late hyperband": lambda: kt.oracles.HyperbandOracle(max_epochs=4, factor=2, seed=1),
        "climbing": lambda: _Climbing(max_trials=4, hyperparameters=space),
    }
    tuner = _Numbers(oracles[name](), directory=fn_args.working_dir)
    return TunerFnResult(tuner=tuner, fit_kwargs={"late": "late" in name, "seconds": config.get("seconds", 0.0)})


class _FitOnly(kt.HyperModel):
    """A model that is always the same, and a fit that asks for a hyperparameter."""

    def build(self, hp: kt.HyperParameters) -> tf.keras.Model:
        model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(1,))])
        model.compile("sgd", loss="mse")
        return model

    def fit(self, hp: kt.HyperParameters, model: tf.keras.Model, *args: Any, **kwargs: Any) -> float:
        return float(hp.Int("late", 1, 4))


def late(fn_args: Any) -> TunerFnResult:
    """Hyperparameters that no model is built of."""
    where = {"directory": fn_args.working_dir, "max_trials": 2, "seed": 1}
    return TunerFnResult(tuner=kt.RandomSearch(_FitOnly(), kt.Objective("score", "min"), **where), fit_kwargs={})


def nothing(fn_args: Any) -> TunerFnResult:
    """Hyperband over a model without hyperparameters."""

    def build(hp: kt.HyperParameters) -> tf.keras.Model:
        return _FitOnly().build(hp)

    tuner = kt.Hyperband(build, kt.Objective("loss", "min"), max_epochs=4, directory=fn_args.working_dir)
    return TunerFnResult(tuner=tuner, fit_kwargs={})
