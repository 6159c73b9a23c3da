"""What a user writes: trials that take no time, but for those that want more memory than there is."""

from __future__ import annotations

import time
from typing import Any

import keras_tuner as kt
from tfx.components.tuner.component import TunerFnResult

from benchmarks.subjects.sleeping_tuner import drawn_at_random

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
    return drawn_at_random(Greedy, fn_args, greedy=config.get("greedy", []), seconds=config["seconds"])
