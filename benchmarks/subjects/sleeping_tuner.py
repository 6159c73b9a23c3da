"""What a user writes, for a search whose trials only wait: nothing but the search itself takes time."""

from __future__ import annotations

import time
from typing import Any

import keras_tuner as kt
from tfx.components.tuner.component import TunerFnResult


class Sleeping(kt.Tuner):
    """A trial sleeps and has a score."""

    def run_trial(self, trial: Any, seconds: float, **kwargs: Any) -> float:
        """Sleeps for `seconds` and answers with the value to be minimized."""
        time.sleep(seconds)
        return trial.hyperparameters.get("x") ** 2


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """As many trials as custom_config's `trials`, of `seconds` each, drawn at random."""
    return drawn_at_random(Sleeping, fn_args, seconds=fn_args.custom_config["seconds"])


def drawn_at_random(tuner_class: type[kt.Tuner], fn_args: Any, **fit_kwargs: Any) -> TunerFnResult:
    """A search by this tuner of as many values of `x` as custom_config's `trials`."""
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    trials = fn_args.custom_config["trials"]
    oracle = kt.oracles.RandomSearchOracle(max_trials=trials, seed=0, hyperparameters=space)
    tuner = tuner_class(oracle, directory=fn_args.working_dir, project_name=tuner_class.__name__.lower())
    return TunerFnResult(tuner=tuner, fit_kwargs=fit_kwargs)
