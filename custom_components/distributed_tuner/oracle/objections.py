"""What an oracle cannot accept from a trial, because its end_trial or every later suggestion would raise.

Random search and Hyperband do not look at a trial's values. Bayesian optimization and grid search look each value up in
its entry of the search space, and raise if it is not there. What a user's own oracle accepts is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from keras_tuner.src.engine import hyperparameters as hp_module
from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.tuners import bayesian, gridsearch


def looks_values_up(oracle: oracle_module.Oracle) -> bool:
    """Whether the oracle needs each value of a trial to be one of its entry's."""
    return isinstance(oracle, (bayesian.BayesianOptimizationOracle, gridsearch.GridSearchOracle))


def of_entries(oracle: oracle_module.Oracle, met: hp_module.HyperParameters, trial_id: str | None = None) -> str | None:
    """Why the oracle cannot add entries that its search space lacks, naming the first such entry; None if it can.

    Args:
      oracle: the oracle.
      met: hyperparameters with all the entries that were discovered.
      trial_id: the trial that discovered them, None if none did.
    """
    name = type(oracle).__name__
    for entry in met.space:
        if oracle.hyperparameters._exists(entry.name, entry.conditions):
            continue
        if not oracle.allow_new_entries:
            return (
                f"hyperparameter {entry.name!r} is not in the search space, and {name} has allow_new_entries=False: "
                "declare it in the `hyperparameters` that the oracle is given, or leave it out"
            )
        if not oracle.tune_new_entries:
            continue
        if isinstance(oracle, gridsearch.GridSearchOracle) and any(_lack(oracle, entry, trial_id)):
            return (
                f"hyperparameter {entry.name!r} was not in the search space when earlier trials began, and {name} "
                "cannot go on from trials without it: declare it before the search begins, if need be in "
                "`hp.conditional_scope`"
            )
        if not _fits(oracle, entry, entry.default):
            return f"{name} can make nothing of the default of hyperparameter {entry.name!r}, {entry.default!r:.60}"
    return None


def of_values(oracle: oracle_module.Oracle, met: hp_module.HyperParameters) -> str | None:
    """Why the oracle cannot continue from these values, naming the one at fault; None if it can."""
    if not looks_values_up(oracle):
        return None
    if isinstance(oracle, gridsearch.GridSearchOracle):
        for entry in oracle.hyperparameters.space:
            if met.is_active(entry) and entry.name not in met.values:
                return (
                    f"hyperparameter {entry.name!r} has no value any more, and {type(oracle).__name__} cannot go on "
                    "from a trial without it. Leave the hyperparameters as they are suggested"
                )
    for entry in (*met.space, *oracle.hyperparameters.space):
        value = met.values.get(entry.name)
        if value is not None and met.is_active(entry) and not _fits(oracle, entry, value):
            return (
                f"hyperparameter {entry.name!r} was set to {value!r:.60}, which is no value of {entry!r:.200}: "
                f"{type(oracle).__name__} cannot go on from it. Leave the values as they are suggested, or declare "
                "what the trial may set"
            )
    return None


def of_score(oracle: oracle_module.Oracle, score: float) -> str | None:
    """Why the oracle cannot compute with this score, finite as it is; None if it can."""
    if isinstance(oracle, bayesian.BayesianOptimizationOracle) and not math.isfinite(score * score):
        return (
            f"the objective {oracle.objective.name!r} was {score:g} at best: {type(oracle).__name__} computes with its "
            "square, which is beyond all numbers. Report a smaller one where a trial is to count as bad"
        )
    return None


def _lack(oracle: oracle_module.Oracle, entry: hp_module.HyperParameter, trial_id: str | None) -> Iterator[bool]:
    for trial in oracle.trials.values():
        values = trial.hyperparameters.values
        active = all(condition.is_active(values) for condition in entry.conditions)
        yield trial.trial_id != trial_id and active and entry.name not in values


def _fits(oracle: oracle_module.Oracle, entry: hp_module.HyperParameter, value: Any) -> bool:
    if isinstance(oracle, gridsearch.GridSearchOracle):
        return value == entry.default or value in list(entry.values)
    if not isinstance(oracle, bayesian.BayesianOptimizationOracle) or isinstance(entry, hp_module.Fixed):
        return True
    try:
        place = float(entry.value_to_prob(value))
    except (ArithmeticError, TypeError, ValueError):
        return False
    # The oracle takes NaN and infinity for 0, but cannot handle a value whose square overflows.
    return not math.isfinite(place) or math.isfinite(place * place)
