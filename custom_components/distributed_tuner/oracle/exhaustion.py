"""Why an oracle has no more trials, although it made fewer than it was allowed to."""

from __future__ import annotations

from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.tuners import bayesian, gridsearch, hyperband, randomsearch

from custom_components.distributed_tuner.record.record import INTERNAL_PREFIX
from custom_components.distributed_tuner.space import size as space_size

_DRAW_AT_RANDOM = (
    randomsearch.RandomSearchOracle,
    hyperband.HyperbandOracle,
    bayesian.BayesianOptimizationOracle,
)


def reason(oracle: oracle_module.Oracle) -> str | None:
    """Why an oracle that has just run out of trials did so early; None if it made all the trials it was to make."""
    limit = oracle.max_trials
    if limit is not None and len(oracle.trials) >= limit:
        return None
    if isinstance(oracle, hyperband.HyperbandOracle) and _plan_is_done(oracle):
        return None
    space = oracle.hyperparameters.space
    if not space:
        return (
            "no hyperparameter is known, so that there is nothing to vary: ask for some in the model-building function "
            "or in run_trial, or give the oracle hyperparameters=…"
        )
    if isinstance(oracle, gridsearch.GridSearchOracle):
        known = ", ".join(entry.name for entry in space)
        done = f"the grid of {known} has only {_configurations(len(oracle.trials))}, and all were tried"
        return None if limit is None else done
    tried, size = _tried(oracle), space_size.count(space)
    if size is not None and tried >= size:
        return f"the search space has only {_configurations(size)}, and all were tried"
    name = type(oracle).__name__
    if type(oracle) in _DRAW_AT_RANDOM:
        of = "" if size is None else f" of {size:,}"
        return (
            f"{name} drew {oracle._max_collisions + 1} times in a row at random what had been tried before: "
            f"{_configurations(tried)}{of} were"
        )
    return f"{name} has no more: its populate_space answered STOPPED after {len(oracle.trials):,} trials"


def is_exhausted(oracle: oracle_module.Oracle) -> bool:
    """Whether every configuration of the search space was tried, as far as this can be determined."""
    size = space_size.count(oracle.hyperparameters.space)
    return size is not None and _tried(oracle) >= size


def _plan_is_done(oracle: hyperband.HyperbandOracle) -> bool:
    """Whether each open bracket has all the trials of its first round."""
    return all(
        len(bracket["rounds"][0]) >= oracle._get_size(bracket["bracket_num"], round_num=0)
        for bracket in oracle._brackets
    )


def _tried(oracle: oracle_module.Oracle) -> int:
    configurations = {
        tuple(sorted((name, repr(value)) for name, value in values.items() if not name.startswith(INTERNAL_PREFIX)))
        for values in (trial.hyperparameters.values for trial in oracle.trials.values())
    }
    return len(configurations)


def _configurations(count: int) -> str:
    return f"{count:,} configuration{'' if count == 1 else 's'}"
