"""What a user writes, for a search whose trials are epochs of a known length; each writes down when it begins."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import tensorflow as tf

LOG = "epochs.log"

_ROWS, _COLUMNS, _BATCHES = 64, 8, 4


class Timed(tf.keras.callbacks.Callback):
    """Spreads an epoch's length over its batches, and notes the beginning of its first one."""

    def __init__(self, log: Path, trial_id: str, epoch_seconds: float) -> None:
        super().__init__()
        self._log = log
        self._trial_id = trial_id
        self._batch_seconds = epoch_seconds / _BATCHES
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remembers the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Notes the epoch with its first batch."""
        if batch == 0:
            line = f"{time.time()} {os.getpid()} {self._trial_id} {self._epoch}\n"
            with self._log.open("a", encoding="utf-8") as file:
                file.write(line)
        time.sleep(self._batch_seconds)


class Epochs(kt.RandomSearch):
    """Random search whose trials are timed."""

    def __init__(self, epoch_seconds: float, *args: Any, **kwargs: Any) -> None:
        self._epoch_seconds = epoch_seconds
        super().__init__(*args, **kwargs)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Trains with a callback that knows its trial."""
        kwargs["callbacks"] = [Timed(Path(self.directory, LOG), trial.trial_id, self._epoch_seconds)]
        return super().run_trial(trial, *args, **kwargs)


def build(hp: kt.HyperParameters) -> tf.keras.Model:
    """A small network."""
    hidden = tf.keras.layers.Dense(hp.Int("units", 8, 64), activation="relu", input_shape=(_COLUMNS,))
    model = tf.keras.Sequential([hidden, tf.keras.layers.Dense(1)])
    model.compile("adam", loss="mse")
    return model


def timed(config: dict[str, Any], directory: str) -> tuple[Epochs, dict[str, Any]]:
    """A tuner of `trials` trials, each of `epochs` epochs of `epoch_seconds`, and the arguments of its `search`."""
    objective = kt.Objective("val_loss", "min")
    where = {"directory": directory, "project_name": "epochs"}
    tuner = Epochs(config["epoch_seconds"], build, objective, max_trials=config["trials"], seed=0, **where)
    x = np.random.RandomState(0).normal(size=(_ROWS, _COLUMNS)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    fit = {"x": x, "y": y, "batch_size": _ROWS // _BATCHES, "validation_data": (x, y)}
    return tuner, {**fit, "epochs": config["epochs"], "verbose": 0}


def tuner_fn(fn_args: Any) -> Any:
    """`timed` for the component; see `fn_args.custom_config`."""
    # Imported here: plain keras-tuner scripts start seconds earlier without it.
    from tfx.components.tuner.component import TunerFnResult

    tuner, fit = timed(fn_args.custom_config, fn_args.working_dir)
    return TunerFnResult(tuner=tuner, fit_kwargs=fit)
