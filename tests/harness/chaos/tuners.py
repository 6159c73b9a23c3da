"""The tuner functions of the suite: real, tiny models, and flaws that custom_config asks for."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import tensorflow as tf
from tfx.components.tuner.component import TunerFnResult

from tests.harness.chaos import drag, jumping_clock, training_log

OBJECTIVE = kt.Objective("val_loss", "min")
ROWS, COLUMNS = 32, 4
FULL = "full"


class _Noted(tf.keras.callbacks.Callback):
    """Writes down each epoch, makes it last, and spoils it where the trial has a flaw."""

    def __init__(self, search: _Search, seconds: float) -> None:
        super().__init__()
        self._search = search
        self._seconds = seconds

    def __deepcopy__(self, memo: Any) -> _Noted:
        # keras-tuner copies callbacks before each execution; the tuner must stay the same.
        return _Noted(self._search, self._seconds)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._search.note(epoch)
        time.sleep(self._seconds * self._search.drag())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._search.find_room()
        flaw = self._search.flaw()
        if flaw == "callback":
            raise ValueError("the callback cannot read its file")
        if flaw == "137":
            os._exit(137)
        if flaw == "killed":
            os.kill(os.getpid(), signal.SIGKILL)


class _Search(kt.Tuner):
    """Put before a keras-tuner Tuner: knows which trial runs, and which trials have a flaw."""

    def __init__(self, root: Path, flaws: dict[str, str], *args: Any, **kwargs: Any) -> None:
        self._root = root
        self._flaws = flaws
        self._running = ("", 0)
        super().__init__(self._model, *args, **kwargs)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        self._running = trial.trial_id, self.oracle._current.attempt
        self.note(training_log.START)
        return super().run_trial(trial, *args, **kwargs)

    def note(self, epoch: int) -> None:
        """Writes down where the running trial is."""
        training_log.note(self._root, *self._running, epoch)

    def find_room(self) -> None:
        """Fails as writing to a full disk does, while there is a file FULL."""
        path = self._root / FULL
        if path.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def drag(self) -> float:
        """How much longer than they should its epochs last at the moment."""
        return drag.read(self._root)

    def flaw(self) -> str | None:
        """That of the running trial."""
        return self._flaws.get(self._running[0])

    def _model(self, hp: kt.HyperParameters) -> tf.keras.Model:
        # Dropout, so that an epoch that is trained again from another state shows in the score.
        units, rate = hp.Int("units", 1, 16), hp.Choice("learning_rate", [0.3, 0.1, 0.03, 0.01])
        if self.flaw() == "build":
            raise ValueError(f"no layer of {units} units fits")
        layers = tf.keras.layers
        first = layers.Dense(units, activation="relu", input_shape=(COLUMNS,))
        model = tf.keras.Sequential([first, layers.Dropout(0.3), layers.Dense(1)])
        losses = {"nan": lambda y, p: p * float("nan"), "inf": lambda y, p: abs(p) + float("inf")}
        # Eagerly: tracing a graph takes longer than all epochs of such a model.
        model.compile(tf.keras.optimizers.Adam(rate), loss=losses.get(str(self.flaw()), "mse"), run_eagerly=True)
        return model


class _Random(_Search, kt.RandomSearch):
    pass


class _Bayesian(_Search, kt.BayesianOptimization):
    pass


class _Grid(_Search, kt.GridSearch):
    pass


class _Hyperband(_Search, kt.Hyperband):
    pass


_ALGORITHMS = {"random": _Random, "bayesian": _Bayesian, "grid": _Grid, "hyperband": _Hyperband}


def tuner(fn_args: Any) -> TunerFnResult:
    """`trials` trials of `epochs` epochs that take `seconds` each; `flaws` by trial id; `clock`: a clock that jumps."""
    config = fn_args.custom_config
    root = Path(fn_args.working_dir)
    if config.get("clock"):
        jumping_clock.install(root)
    random = np.random.RandomState(0)
    x = random.normal(size=(ROWS, COLUMNS)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    where: dict[str, Any] = {"directory": fn_args.working_dir, "project_name": "project"}
    where |= (
        {"max_epochs": config["epochs"]} if config["algorithm"] == "hyperband" else {"max_trials": config["trials"]}
    )
    made = _ALGORITHMS[config["algorithm"]](root, config.get("flaws", {}), OBJECTIVE, seed=1, **where)
    noted = _Noted(made, config["seconds"])
    fit = {"x": x, "y": y, "batch_size": ROWS, "validation_data": (x, y), "epochs": config["epochs"], "verbose": 0}
    return TunerFnResult(tuner=made, fit_kwargs={**fit, "callbacks": [noted]})
