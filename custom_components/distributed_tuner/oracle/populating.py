"""Has an oracle populate new trials, without repeating a configuration tried before, unless that is allowed.

keras-tuner's random, grid and Hyperband oracles do not repeat themselves; apparent repeats in Hyperband's later rounds
are trained further. A Bayesian search does repeat itself, and a user's own oracle may.
"""

from __future__ import annotations

from typing import Any

from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.engine import trial as trial_module
from keras_tuner.src.tuners import bayesian, gridsearch, randomsearch
from keras_tuner.src.tuners import hyperband as hyperband_tuner

from custom_components.distributed_tuner.oracle import exhaustion, hyperband
from custom_components.distributed_tuner.record.record import INTERNAL_PREFIX
from custom_components.distributed_tuner.space import entry_values, trial_values
from custom_components.distributed_tuner.study.answers import Aside

_Status = trial_module.TrialStatus

# How often a user's own oracle is asked for another configuration before it counts as having no more.
ASKED_AGAIN = 10
# Each round is some twenty draws. All of them miss the last untried configuration of 1,000 once in 150 searches.
_ROUNDS_OF_DRAWS = 250


class Populating:
    """Replaces an oracle's `populate_space`. Runs in the thread that calls the oracle.

    Args:
      oracle: the oracle, which is patched.
      repeat: whether a configuration that was tried may be tried again.
    """

    def __init__(self, oracle: oracle_module.Oracle, *, repeat: bool) -> None:
        self._oracle = oracle
        rounds = isinstance(oracle, hyperband_tuner.HyperbandOracle)
        self._ask = hyperband.exploring(oracle) if rounds else oracle.populate_space
        self._repeats = not repeat and not _keeps_apart(oracle)
        self._repeated = False
        self._ran_out: str | None = None
        oracle.populate_space = self._populate

    def aside(self) -> Aside:
        """Returns and resets the remarks on the last suggestion."""
        told, self._repeated, self._ran_out = Aside(self._repeated, self._ran_out), False, None
        return told

    def _populate(self, trial_id: str) -> Any:
        answer, asked = self._ask(trial_id), 0
        while self._repeats and self._is_known(answer):
            self._repeated = True
            if type(self._oracle).populate_space is bayesian.BayesianOptimizationOracle.populate_space:
                # Asked again with the same results, it would suggest the same.
                answer = self._drawn()
            elif asked == ASKED_AGAIN:
                self._ran_out = (
                    f"{type(self._oracle).__name__} suggested {asked + 1} times in a row what had been tried before; "
                    "the option repeat_configurations=True has such configurations trained again"
                )
                return {"status": _Status.STOPPED, "values": None}
            else:
                asked += 1
                answer = self._ask(trial_id)
        if isinstance(answer, dict) and answer.get("status") == _Status.STOPPED:
            self._ran_out = exhaustion.reason(self._oracle)
        return answer

    def _is_known(self, answer: Any) -> bool:
        """Whether an answer, which may be of any type, is a configuration that was tried."""
        if not isinstance(answer, dict) or answer.get("status") != _Status.RUNNING:
            return False
        values = answer.get("values")
        if not isinstance(values, dict) or trial_values.fault(values) is not None:
            return False
        if any(name.startswith(INTERNAL_PREFIX) for name in values):
            return False
        space, values = self._oracle.hyperparameters.space, dict(values)
        try:
            entry_values.fit_all(space, values)
        except entry_values.UnfitValue:
            return False
        active = {entry.name for entry in space if entry_values.is_active(entry, values)}
        if not active <= set(values):
            # keras-tuner will draw the missing values.
            return False
        inactive = {entry.name for entry in space} - active
        return bool(self._oracle._duplicate({name: value for name, value in values.items() if name not in inactive}))

    def _drawn(self) -> dict[str, Any]:
        """A random configuration that was not tried, as an answer of `populate_space`."""
        for _ in range(_ROUNDS_OF_DRAWS):
            values = self._oracle._random_values()
            if values is not None:
                return {"status": _Status.RUNNING, "values": values}
            if exhaustion.is_exhausted(self._oracle):
                break
        return {"status": _Status.STOPPED, "values": None}


def _keeps_apart(oracle: oracle_module.Oracle) -> bool:
    """Whether the oracle itself avoids repeats; then it must not be asked twice for one trial."""
    own = (gridsearch.GridSearchOracle, hyperband_tuner.HyperbandOracle)
    return isinstance(oracle, own) or type(oracle) is randomsearch.RandomSearchOracle
