"""What users write, where it matters which process runs what: each writes down what it does, with its process."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import tensorflow as tf
from tfx.components.tuner.component import TunerFnResult
from user_tuners import DAEMON, OBJECTIVE, Waiting, _build, _data, _one_of

LOG = "processes.log"

__all__ = ["DAEMON"]


class _Noted(tf.keras.callbacks.Callback):
    """Notes each epoch that is begun."""

    def __init__(self, log: Path, trial_id: str) -> None:
        super().__init__()
        self._log = log
        self._trial_id = trial_id

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        note(self._log, self._trial_id, epoch)


def note(log: Path, *what: object) -> None:
    """One line, which begins with the process."""
    with log.open("a", encoding="utf-8") as file:
        file.write(" ".join(map(str, (os.getpid(), *what))) + "\n")


class _Models(kt.RandomSearch):
    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs["callbacks"] = [_Noted(Path(self.directory, LOG), trial.trial_id)]
        return super().run_trial(trial, *args, **kwargs)


def models(fn_args: Any) -> TunerFnResult:
    """Real models, of two epochs an execution."""
    config = fn_args.custom_config
    where = {"directory": fn_args.working_dir, "project_name": "models", "seed": 1}
    tuner = _Models(
        _build, OBJECTIVE, max_trials=config["max_trials"], executions_per_trial=config.get("executions", 1), **where
    )
    x, y = _data()
    return TunerFnResult(tuner=tuner, fit_kwargs={"x": x, "y": y, "validation_data": (x, y), "epochs": 2, "verbose": 0})


class _Growing(Waiting):
    """Keeps some megabytes of each trial in a list, if it is told to; else nobody keeps them, but garbage does."""

    def __init__(self, kept: bool, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: list[Any] | None = [] if kept else None

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        block: list[Any] = [np.ones(20_000_000)]
        if self._kept is None:
            block.append(block)
        else:
            self._kept.append(block)
        note(Path(self.directory, LOG), trial.trial_id)
        return super().run_trial(trial, *args, **kwargs)


class _Halting(Waiting):
    """Halts once at a moment of its renewal: after the last trial of a process, or as the second process begins."""

    moment = ""

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        note(Path(self.directory, LOG), trial.trial_id)
        if self.moment == "goes" and trial.trial_id == "1":
            _halt(self.directory)


def _halt(directory: str) -> None:
    if _one_of(Path(directory, "marks"), 1):
        Path(directory, "halted").write_text(str(os.getpid()))
        time.sleep(600)


def _waiting(kind: Any, fn_args: Any) -> TunerFnResult:
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    oracle = kt.oracles.RandomSearchOracle(
        max_trials=fn_args.custom_config["max_trials"], seed=1, hyperparameters=space
    )
    tuner = kind(oracle, directory=fn_args.working_dir, project_name="waiting")
    return TunerFnResult(tuner=tuner, fit_kwargs={})


def growing(fn_args: Any) -> TunerFnResult:
    """160 MB a trial, which stay if `kept`."""
    return _waiting(lambda *args, **kwargs: _Growing(fn_args.custom_config["kept"], *args, **kwargs), fn_args)


def halting(fn_args: Any) -> TunerFnResult:
    """Trials that take no time, and a process that halts once, at a `moment`."""
    moment = fn_args.custom_config["moment"]
    log = Path(fn_args.working_dir, LOG)
    if moment == "begins" and os.environ["KERASTUNER_TUNER_ID"] != "chief" and log.exists():
        _halt(fn_args.working_dir)
    tuner = _waiting(_Halting, fn_args)
    tuner.tuner.moment = moment
    return tuner


def pretending(fn_args: Any) -> TunerFnResult:
    """Its workers end with the code of a process that gives way to a fresh one, without having run a trial."""
    if os.environ["KERASTUNER_TUNER_ID"] != "chief":
        os._exit(79)
    return _waiting(Waiting, fn_args)
