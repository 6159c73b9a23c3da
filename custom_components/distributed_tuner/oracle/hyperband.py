"""Fixes for keras-tuner's Hyperband, which waits for failed trials, and suggests none while the space is unknown."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.engine import trial as trial_module
from keras_tuner.src.tuners import hyperband

_Status = trial_module.TrialStatus


class _DefaultsOnly(dict[str, Any]):
    """No values, but true in a condition, so that keras-tuner does not take them for a failure to draw any."""

    def __bool__(self) -> bool:
        return True


def exploring(oracle: hyperband.HyperbandOracle) -> Callable[[str], Any]:
    """A `populate_space` that suggests a first trial although no hyperparameter is known yet, as other oracles do.

    That trial, with the defaults, declares the hyperparameters. Until it has ended there is nothing for other workers.
    """
    populate: Callable[[str], Any] = oracle.populate_space

    def populate_unknown(trial_id: str) -> Any:
        if oracle.hyperparameters.space or oracle.trials:
            return populate(trial_id)
        oracle._random_values = _DefaultsOnly
        try:
            return populate(trial_id)
        finally:
            del oracle._random_values

    return populate_unknown


@contextlib.contextmanager
def failures_thrown_out(oracle: oracle_module.Oracle) -> Iterator[None]:
    """Within it failed trials look to Hyperband like completed ones with the worst score; other oracles see no change.

    Hyperband promotes the best trial of a round once more of them have completed than it discards, and waits for a
    failed one for ever: with two failures among nine, one trial is promoted where three should be. If fewer trials of a
    round completed than the next one takes, the next one is still short.
    """
    shown: list[tuple[trial_module.Trial, float | None]] = []
    if isinstance(oracle, hyperband.HyperbandOracle):
        worst = math.inf if oracle.objective.direction == "min" else -math.inf
        for trial in _candidates_that_failed(oracle):
            shown.append((trial, trial.score))
            trial.status, trial.score = _Status.COMPLETED, worst
    try:
        yield
    finally:
        for trial, score in shown:
            trial.status, trial.score = _Status.FAILED, score


def _candidates_that_failed(oracle: hyperband.HyperbandOracle) -> Iterator[trial_module.Trial]:
    for bracket in oracle._brackets:
        for earlier, later in itertools.pairwise(bracket["rounds"]):
            gone_on = {info["past_id"] for info in later}
            left = [oracle.trials[info["id"]] for info in earlier if info["id"] not in gone_on]
            # Without a completed trial to prefer, Hyperband would promote a failed one.
            if any(trial.status == _Status.COMPLETED for trial in left):
                yield from [trial for trial in left if trial.status == _Status.FAILED]
