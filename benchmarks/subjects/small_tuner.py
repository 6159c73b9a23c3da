"""What a user writes, for a search of many small trials; each writes down when it begins and ends."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import tensorflow as tf

LOG = "trials.log"

_ROWS, _COLUMNS, _EPOCHS = 64, 8, 2


class Noted(kt.RandomSearch):
    """Random search whose trials write down when they run."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes the trial's process, beginning and end."""
        began = time.time()
        result = super().run_trial(trial, *args, **kwargs)
        with Path(self.directory, LOG).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {began} {time.time()}\n")
        return result


def build(hp: kt.HyperParameters) -> tf.keras.Model:
    """A small network, of another shape in nearly each trial."""
    model = tf.keras.Sequential([tf.keras.layers.Input((_COLUMNS,))])
    for layer in range(hp.Int("layers", 1, 3)):
        model.add(tf.keras.layers.Dense(hp.Int(f"units_{layer}", 8, 64), activation="relu"))
    model.add(tf.keras.layers.Dense(1))
    model.compile(tf.keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")), loss="mse")
    return model


def small(trials: int, directory: str) -> tuple[Noted, dict[str, Any]]:
    """A tuner of so many trials, and the arguments of its `search`."""
    objective = kt.Objective("val_loss", "min")
    tuner = Noted(build, objective, max_trials=trials, seed=0, directory=directory, project_name="small")
    x = np.random.RandomState(0).normal(size=(_ROWS, _COLUMNS)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    return tuner, {"x": x, "y": y, "validation_data": (x, y), "epochs": _EPOCHS, "verbose": 0}


def tuner_fn(fn_args: Any) -> Any:
    """`small` for the component; see `fn_args.custom_config`."""
    # Imported here: plain keras-tuner scripts start seconds earlier without it.
    from tfx.components.tuner.component import TunerFnResult

    tuner, fit = small(fn_args.custom_config["trials"], fn_args.working_dir)
    return TunerFnResult(tuner=tuner, fit_kwargs=fit)
