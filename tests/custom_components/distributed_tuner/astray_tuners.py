"""Tuner functions whose searches keras-tuner's own rules lead astray."""

from __future__ import annotations

import math
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
