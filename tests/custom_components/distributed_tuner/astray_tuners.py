"""Tuner functions whose searches keras-tuner's own rules lead astray; without models, so that a trial takes no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner as kt
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
