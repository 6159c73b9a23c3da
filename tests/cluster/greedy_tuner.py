"""What a user writes: trials that take no time, but for those that want more memory than there is."""

from __future__ import annotations

import time
from typing import Any

import keras_tuner as kt
from tfx.components.tuner.component import TunerFnResult

_MEGABYTE = 1 << 20


class Greedy(kt.Tuner):
    """A trial has a score, or takes memory until somebody stops it."""

    def run_trial(self, trial: Any, greedy: list[str], seconds: float, **kwargs: Any) -> float:
        """Answers with the value to be minimized."""
        hoard: list[bytearray] = []
        while trial.trial_id in greedy:
            hoard.append(bytearray(16 * _MEGABYTE))
        time.sleep(seconds)
        return trial.hyperparameters.get("x") ** 2


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """As many trials as custom_config's `trials`, of `seconds` each; `greedy` are the ids of those that take memory."""
    config = fn_args.custom_config
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    oracle = kt.oracles.RandomSearchOracle(max_trials=config["trials"], seed=0, hyperparameters=space)
    tuner = Greedy(oracle, directory=fn_args.working_dir, project_name="greedy")
    return TunerFnResult(tuner=tuner, fit_kwargs={"greedy": config.get("greedy", []), "seconds": config["seconds"]})
