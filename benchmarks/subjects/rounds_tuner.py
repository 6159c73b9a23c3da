"""What a user writes, for a search in rounds of two trials, a long one and a short one; each writes down its times."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import keras_tuner as kt
from tfx.components.tuner.component import TunerFnResult

LOG = "trials.log"


class RoundsOracle(kt.oracles.RandomSearchOracle):
    """Has two trials at a time, and the next two once both have ended, as Hyperband has at the end of a round."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `kt.Oracle.populate_space`."""
        begins_round = len(self.trials) % 2 == 0
        return {"status": "IDLE"} if begins_round and self.ongoing_trials else super().populate_space(trial_id)


class Rounds(kt.Tuner):
    """A round's first trial sleeps; whoever has the second one waits for it."""

    def run_trial(self, trial: Any, seconds: float, **kwargs: Any) -> float:
        """Sleeps for `seconds`, or not at all, and answers with the value to be minimized."""
        self._note("begin")
        if int(trial.trial_id) % 2 == 0:
            time.sleep(seconds)
        self._note("end")
        return trial.hyperparameters.get("x")

    def _note(self, what: str) -> None:
        with Path(self.directory, LOG).open("a", encoding="utf-8") as file:
            file.write(f"{time.time()} {os.getpid()} {what}\n")


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """custom_config's `rounds`, of `seconds` each."""
    config = fn_args.custom_config
    space = kt.HyperParameters()
    space.Float("x", 0.0, 1.0)
    oracle = RoundsOracle(max_trials=2 * config["rounds"], seed=0, hyperparameters=space)
    tuner = Rounds(oracle, directory=fn_args.working_dir, project_name="rounds")
    return TunerFnResult(tuner=tuner, fit_kwargs={"seconds": config["seconds"]})
