"""What a user writes: trials that take no time, but for those that wait until the test lets them go."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras_tuner as kt
from tfx.components.tuner.component import TunerFnResult

from benchmarks.subjects.sleeping_tuner import drawn_at_random

TUNER = "tests.cluster.held_tuner.tuner_fn"

_GO = "go"
_RAN = "ran.log"
_LONGEST_SECONDS = 600.0


def let_go(search: Path) -> None:
    """Lets all trials of the search in this directory go."""
    (search / _GO).touch()


def ran(search: Path) -> list[str]:
    """The ids of the trials that were begun so far, each as often as it was."""
    log = search / _RAN
    return log.read_text().split() if log.exists() else []


class Held(kt.Tuner):
    """Notes that a trial was begun; those after the first ones wait."""

    def run_trial(self, trial: Any, free: int, **kwargs: Any) -> float:
        """Answers with the value to be minimized."""
        with Path(self.directory, _RAN).open("a", encoding="utf-8") as file:
            file.write(f"{trial.trial_id}\n")
        ends = time.monotonic() + _LONGEST_SECONDS
        while int(trial.trial_id) >= free and not Path(self.directory, _GO).exists():
            if time.monotonic() > ends:
                raise TimeoutError("nobody lets the trial go")
            time.sleep(0.05)
        return trial.hyperparameters.get("x") ** 2


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """As many trials as custom_config's `trials`; those but the first `free` ones wait."""
    return drawn_at_random(Held, fn_args, free=fn_args.custom_config["free"])
