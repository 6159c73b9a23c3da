"""Undoes what keras-tuner recorded of a trial if its oracle raises or answers nonsense: none of that is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.engine import trial as trial_module


@contextlib.contextmanager
def of_new_trials(oracle: oracle_module.Oracle) -> Iterator[None]:
    """If something is raised within, the trials that began within are forgotten."""
    count = len(oracle.trials)
    try:
        yield
    except BaseException:
        # A dict keeps the order in which trials came.
        for trial_id in list(oracle.trials)[count:]:
            _forget(oracle, trial_id)
        raise


@contextlib.contextmanager
def of_end(oracle: oracle_module.Oracle, trial: trial_module.Trial) -> Iterator[None]:
    """If something is raised within, this trial counts as still running."""
    before = (trial.status, trial.score, trial.best_step, trial.message, trial.metrics, trial.hyperparameters)
    values = dict(trial.hyperparameters.values)
    ends, retries = len(oracle.end_order), list(oracle._retry_queue)
    try:
        yield
    except BaseException:
        (trial.status, trial.score, trial.best_step, trial.message, trial.metrics, trial.hyperparameters) = before
        trial.hyperparameters.values = values
        del oracle.end_order[ends:]
        oracle._retry_queue = retries
        oracle.ongoing_trials.setdefault(trial.trial_id, trial)
        raise


def _forget(oracle: oracle_module.Oracle, trial_id: str) -> None:
    trial = oracle.trials.pop(trial_id)
    for holder in [holder for holder, held in oracle.ongoing_trials.items() if held is trial]:
        del oracle.ongoing_trials[holder]
    oracle.start_order = [started for started in oracle.start_order if started != trial_id]
    tried = oracle._id_to_hash.pop(trial_id, None)
    if tried is not None and tried in oracle._tried_so_far and tried not in oracle._id_to_hash.values():
        oracle._tried_so_far.remove(tried)
