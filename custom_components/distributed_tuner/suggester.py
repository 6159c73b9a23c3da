"""A keras-tuner oracle behind a narrow door: it suggests and judges, and does nothing else.

The oracle keeps its own rules (values, scores, retries). Files, the limit on failures, the console and the bookkeeping
of workers are taken from it, since the chief does them durably and keras-tuner does not. One thread calls a suggester.
"""

from __future__ import annotations

import dataclasses
import math
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from keras_tuner.src.engine import hyperparameters as hp_module
from keras_tuner.src.engine import metrics_tracking
from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.engine import trial as trial_module
from keras_tuner.src.tuners import gridsearch

from custom_components.distributed_tuner import patches
from custom_components.distributed_tuner.answers import NoSuggestion, Result, Suggested, Verdict

_Status = trial_module.TrialStatus
_GRID = "grid_queue"


class OracleError(RuntimeError):
    """The oracle itself raised: no trial can be had from it any more."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Metrics of a trial at one step, in the metrics' own units."""

    step: int
    metrics: Mapping[str, float]


class OracleSuggester:
    """Asks an oracle for trials and brings it their results."""

    def __init__(self, oracle: oracle_module.Oracle) -> None:
        self._oracle = oracle
        self._dirty: set[str] = set()
        self._stored: patches.State = {}
        self.max_consecutive_failures: int | None = oracle.max_consecutive_failed_trials
        oracle.verbose = 0
        # The chief saves each transition itself and counts failures itself; see the module's docstring.
        oracle.save = lambda: None
        oracle._save_trial = lambda trial: None
        oracle._check_consecutive_failures = lambda: None

    @property
    def oracle(self) -> oracle_module.Oracle:
        """The oracle itself, for reading."""
        return self._oracle

    def suggest(self, worker: str) -> Suggested | NoSuggestion:
        """The next configuration.

        Raises:
          OracleError: the oracle raised or answered nonsense.
        """
        trial = self._call("create_trial", worker)
        self._oracle.tuner_ids.discard(worker)
        if trial.status == _Status.IDLE:
            return NoSuggestion.IDLE
        if trial.status == _Status.STOPPED:
            return NoSuggestion.EXHAUSTED
        if trial.status != _Status.RUNNING:
            raise OracleError(f"{type(self._oracle).__name__}.create_trial answered status {trial.status!r}")
        # Leases are the study's business. To the oracle a trial is ongoing until it ends, whoever holds it.
        self._oracle.ongoing_trials[trial.trial_id] = self._oracle.ongoing_trials.pop(worker)
        trial.metrics = metrics_tracking.MetricsTracker()
        trial.score, trial.message = None, None
        self._dirty.add(trial.trial_id)
        return Suggested(trial.trial_id, dict(trial.hyperparameters.values))

    def finish(
        self,
        trial_id: str,
        *,
        succeeded: bool,
        retry: bool = True,
        reports: Sequence[Report] = (),
        message: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
    ) -> Result:
        """Brings a trial's end to the oracle.

        Args:
          trial_id: the trial.
          succeeded: whether it ran to its end; then `reports` hold the objective.
          retry: whether a trial that did not succeed may be retried, if the oracle still has a retry for it.
          reports: its metrics, in order.
          message: why it did not succeed.
          hyperparameters: its `HyperParameters.get_config()` as the worker left it; new entries join the space.

        Returns:
          The oracle's verdict.

        Raises:
          OracleError: the oracle raised.
        """
        trial = self._oracle.trials[trial_id]
        trial.metrics = metrics_tracking.MetricsTracker()
        # A late result may find its trial in the queue for a retry, out of which it would be handed once more.
        self._oracle._retry_queue = [queued for queued in self._oracle._retry_queue if queued != trial_id]
        status = _Status.COMPLETED
        if succeeded:
            message = self._objection(reports)
        if not succeeded or message is not None:
            status = _Status.INVALID if retry else _Status.FAILED
        elif reports:
            for report in reports:
                self._call("update_trial", trial_id, dict(report.metrics), step=report.step)
        config = hyperparameters or trial.hyperparameters.get_config()
        ended = trial_module.Trial(
            hyperparameters=hp_module.HyperParameters.from_config(config),
            trial_id=trial_id,
            status=status,
            message=message,
        )
        self._call("end_trial", ended)
        self._oracle.ongoing_trials.pop(trial_id, None)
        self._dirty.add(trial_id)
        values = dict(trial.hyperparameters.values)
        if trial.status == _Status.COMPLETED:
            return Result(Verdict.COMPLETED, float(trial.score), int(trial.best_step or 0), None, values)
        verdict = Verdict.RETRY if trial.status == _Status.INVALID else Verdict.FAILED
        return Result(verdict, message=trial.message or message, hyperparameters=values)

    def space(self) -> dict[str, Any]:
        """The search space as `HyperParameters.get_config()`."""
        return self._oracle.get_space().get_config()

    def update_space(self, config: Mapping[str, Any]) -> None:
        """Adds entries that a worker met.

        Raises:
          OracleError: the oracle takes no new entries.
        """
        self._call("update_space", hp_module.HyperParameters.from_config(config))

    def trial_state(self, trial_id: str) -> dict[str, Any]:
        """A trial as keras-tuner stores it (`Trial.get_state()`)."""
        return self._oracle.trials[trial_id].get_state()

    def best_states(self, count: int) -> list[dict[str, Any]]:
        """The states of the best completed trials, best first; never padded with others."""
        best = self._oracle.get_best_trials(count)
        return [trial.get_state() for trial in best if trial.status == _Status.COMPLETED]

    def queued(self) -> frozenset[str]:
        """The trials that the oracle itself will suggest again."""
        return frozenset(self._oracle._retry_queue)

    def oracle_state(self) -> dict[str, Any]:
        """The oracle as keras-tuner stores it (`Oracle.get_state()`)."""
        return self._oracle.get_state()

    def changes(self) -> dict[str, Any]:
        """What changed since the last call: {"state": a patch of `patches.diff`, "trials": {id: state}}."""
        state = patches.freeze(_full_state(self._oracle))
        patch = {
            "state": patches.diff(self._stored, state),
            "trials": {trial_id: self.trial_state(trial_id) for trial_id in sorted(self._dirty)},
        }
        self._stored = state
        self._dirty.clear()
        return patch

    def restore(self, state: patches.State, trials: Mapping[str, Mapping[str, Any]]) -> None:
        """Takes up what the merged `changes` hold."""
        oracle = self._oracle
        oracle.trials = {trial_id: trial_module.Trial.from_state(dict(trial)) for trial_id, trial in trials.items()}
        if state:
            _set_full_state(oracle, patches.thaw(state))
        self._stored = dict(state)

    def _objection(self, reports: Sequence[Report]) -> str | None:
        objective = self._oracle.objective
        if not reports:
            return f"the trial ended without reporting its objective {objective.name!r}"
        for report in reports:
            missing = not objective.has_value(report.metrics)
            if missing:
                return (
                    f"the trial reported no {objective.name!r}; it reported {', '.join(sorted(report.metrics))}. "
                    "The objective must be a metric that the model is compiled with, after 'val_' for the eval split"
                )
            value = objective.get_value(report.metrics)
            if not math.isfinite(value):
                return f"the objective {objective.name!r} was {value} at step {report.step}: the training diverged"
        return None

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(self._oracle, method)(*args, **kwargs)
        except Exception as error:
            # keras-tuner's lock has no finally, and would stop every later call.
            lock = oracle_module.LOCKS[self._oracle]
            oracle_module.THREADS[self._oracle] = None
            if lock.locked():
                lock.release()
            raise OracleError(
                f"{type(self._oracle).__name__}.{method} raised {type(error).__name__}: {error}\n"
                f"{traceback.format_exc()}"
            ) from error


def _full_state(oracle: oracle_module.Oracle) -> dict[str, Any]:
    state = dict(oracle.get_state())
    state.pop("display", None)
    # A set has no order to compare by; its members are the values of id_to_hash and whatever an oracle adds.
    state["tried_so_far"] = dict.fromkeys(state["tried_so_far"], True)
    if isinstance(oracle, gridsearch.GridSearchOracle):
        queue = oracle._ordered_ids
        state[f"{_GRID}_next"] = list(oracle._populate_next)
        state[f"{_GRID}_memory"] = list(queue._memory)
        state[f"{_GRID}_links"] = {str(k): v for k, v in queue._next_index.items() if v is not None}
        state[f"{_GRID}_last"] = queue._last_index
    return state


def _set_full_state(oracle: oracle_module.Oracle, state: dict[str, Any]) -> None:
    state = dict(state)
    state["tried_so_far"] = list(state["tried_so_far"])
    state["display"] = oracle._display.get_state()
    if isinstance(oracle, gridsearch.GridSearchOracle):
        queue = gridsearch.LinkedList()
        queue._memory = list(state.pop(f"{_GRID}_memory"))
        queue._data_to_index = {data: index for index, data in enumerate(queue._memory)}
        for key, value in state.pop(f"{_GRID}_links").items():
            queue._next_index[None if key == "None" else int(key)] = value
        queue._last_index = state.pop(f"{_GRID}_last")
        oracle._ordered_ids = queue
        oracle._populate_next = list(state.pop(f"{_GRID}_next"))
    oracle.set_state(state)
