"""What a user writes, for a search in which one trial runs at a time; each writes down when it begins and ends."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import keras_tuner as kt
from tfx.components.tuner.component import TunerFnResult

LOG = "trials.log"


class RelayOracle(kt.oracles.RandomSearchOracle):
    """Has its next trial once the last one has ended, as Hyperband does at the end of a round."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `kt.Oracle.populate_space`."""
        return {"status": "IDLE"} if self.ongoing_trials else super().populate_space(trial_id)


class Relay(kt.Tuner):
    """A trial sleeps."""

    def run_trial(self, trial: Any, seconds: float, **kwargs: Any) -> float:
        """Sleeps for `seconds` and answers with the value to be minimized."""
        self._note("begin")
        time.sleep(seconds)
        self._note("end")
        return trial.hyperparameters.get("x")

    def _note(self, what: str) -> None:
        with Path(self.directory, LOG).open("a", encoding="utf-8") as file:
            file.write(f"{time.time()} {os.getpid()} {what}\n")


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """custom_config's `trials`, of `seconds` each."""
    config = fn_args.custom_config
    space = kt.HyperParameters()
    space.Float("x", 0.0, 1.0)
    oracle = RelayOracle(max_trials=config["trials"], seed=0, hyperparameters=space)
    tuner = Relay(oracle, directory=fn_args.working_dir, project_name="relay")
    return TunerFnResult(tuner=tuner, fit_kwargs={"seconds": config["seconds"]})
