"""What users write: searches whose scores follow from the hyperparameters alone, whoever runs them."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import keras_tuner as kt
import tensorflow as tf
from tfx.components.tuner.component import TunerFnResult

# So few that some trials have the same: their order counts too.
_SCORES = 7


def _space(hp: kt.HyperParameters) -> None:
    """Entries of all kinds, in no order of the alphabet; one is there only where another one has a certain value."""
    hp.Int("units", 16, 256, step=16)
    hp.Choice("activation", ["relu", "tanh", "selu"])
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Boolean("deep")
    # keras-tuner finds it here before the first trial. Behind an `if` a trial would bring it, and what follows would
    # depend on when it ends.
    with hp.conditional_scope("deep", [True]):
        hp.Int("depth", 2, 5)
    hp.Fixed("batch", 32)
    hp.Choice("Über", [0.5, 1.0])
    hp.Float("dropout", 0.0, 0.5, step=0.1)


def _score(values: dict[str, Any]) -> float:
    own = {name: value for name, value in values.items() if not name.startswith("tuner/")}
    return zlib.crc32(json.dumps(own, sort_keys=True).encode()) % _SCORES / _SCORES


class _Scored:
    """A trial is over at once; some fail."""

    too_many_units: int | None = 128

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        hp = trial.hyperparameters
        self.hypermodel.build(hp)  # type: ignore[attr-defined]
        if hp.get("units") == self.too_many_units:
            raise ValueError(f"{self.too_many_units} units are too many")
        return _score(hp.values)


class _Random(_Scored, kt.RandomSearch):
    pass


class _Bayesian(_Scored, kt.BayesianOptimization):
    pass


class _Grid(_Scored, kt.GridSearch):
    too_many_units = None


class _Hyperband(_Scored, kt.Hyperband):
    # keras-tuner's rounds come out shorter than ours where one fails.
    too_many_units = None


class _Several(_Scored, kt.RandomSearch):
    """Two objectives beside a metric that is none; the trial itself declares the last hyperparameter."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        trial.hyperparameters.Int("another", 1, 9)
        score = super().run_trial(trial)
        history = tf.keras.callbacks.History()
        history.history = {"val_loss": [2.0, score], "val_accuracy": [score / 2, score / 3], "seconds": [3.0, 4.0]}
        return history


def searching(fn_args: Any) -> TunerFnResult:
    """The search that custom_config names."""
    where = {"directory": fn_args.working_dir, "project_name": "drop_in", "seed": 5}
    limits = {"max_trials": 12, "max_consecutive_failed_trials": 100}
    least, most = kt.Objective("val_loss", "min"), kt.Objective("val_accuracy", "max")
    tuners: dict[str, Any] = {
        "random": lambda: _Random(_space, least, **limits, **where),
        "largest": lambda: _Random(_space, most, **limits, **where),
        "bayesian": lambda: _Bayesian(_space, least, num_initial_points=3, **limits, **where),
        "grid": lambda: _Grid(_space, least, **limits, **where),
        "several": lambda: _Several(_space, [least, most], **limits, **where),
        "hyperband": lambda: _Hyperband(_space, least, max_epochs=9, **where),
    }
    return TunerFnResult(tuner=tuners[fn_args.custom_config["search"]](), fit_kwargs={})


class _NothingToTune(kt.RandomSearch):
    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
        return 1.0


def telling(fn_args: Any) -> TunerFnResult:
    """Writes what it is called with into the base model's folder, by process; its search has nothing to tune."""
    told = {name: repr(value) for name, value in vars(fn_args).items() if name not in ("working_dir", "data_accessor")}
    told["data_accessor"] = repr([type(each).__name__ for each in fn_args.data_accessor])
    Path(fn_args.base_model, f"{os.getpid()}.json").write_text(json.dumps(told), encoding="utf-8")
    tuner = _NothingToTune(lambda hp: None, "val_loss", max_trials=1, directory=fn_args.working_dir)
    return TunerFnResult(tuner=tuner, fit_kwargs={})
