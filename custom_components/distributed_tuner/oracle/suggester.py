"""A keras-tuner oracle behind a narrow interface: it suggests trials and judges results, and does nothing else.

The oracle keeps its own rules (values, scores, retries). Files, the limit on failures, the console and the bookkeeping
of workers are disabled in it, since the chief does them durably and keras-tuner does not. Not thread-safe.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from keras_tuner.src.engine import hyperparameters as hp_module
from keras_tuner.src.engine import metrics_tracking
from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.engine import trial as trial_module
from keras_tuner.src.tuners import gridsearch, randomsearch
from keras_tuner.src.tuners import hyperband as hyperband_tuner

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.oracle import (
    hyperband,
    metric_history,
    missing_objective,
    not_finite,
    objections,
    patches,
    rollback,
)
from custom_components.distributed_tuner.oracle.calls import OracleCalls, OracleError
from custom_components.distributed_tuner.oracle.populating import Populating
from custom_components.distributed_tuner.oracle.state import OracleState
from custom_components.distributed_tuner.record import fields
from custom_components.distributed_tuner.space import copies, entry_values, trial_values
from custom_components.distributed_tuner.study.answers import Aside, NoSuggestion, Result, Suggested, Verdict

_Status = trial_module.TrialStatus

# The oracles that answer in less than a millisecond; nothing is known of other classes.
_QUICK = (randomsearch.RandomSearchOracle, hyperband_tuner.HyperbandOracle, gridsearch.GridSearchOracle)


# Among the values of a trial of Hyperband's later rounds: the trial whose weights and values it continues with.
_GONE_ON_WITH = "tuner/trial_id"


@dataclasses.dataclass(frozen=True)
class Report:
    """Metrics of a trial at one step, in the metrics' own units."""

    step: int
    metrics: Mapping[str, float]


class OracleSuggester:
    """Asks an oracle for trials and reports their results to it.

    Args:
      oracle: the oracle; nothing else may call it.
      repeat: whether a configuration that was tried may be tried again, see `populating`.
    """

    def __init__(self, oracle: oracle_module.Oracle, *, repeat: bool = False) -> None:
        self._oracle = oracle
        self._calls = OracleCalls(oracle)
        self._populating = Populating(oracle, repeat=repeat)
        self._dirty: set[str] = set()
        self._state = OracleState(oracle)
        self._touched = False
        self._given: dict[str, dict[str, Any]] = {}
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

    @property
    def quick(self) -> bool:
        """Whether a call takes about a millisecond; otherwise it may take seconds."""
        return type(self._oracle) in _QUICK

    def suggest(self, worker: str) -> Suggested | NoSuggestion:
        """The next configuration.

        Raises:
          OracleError: the oracle raised or answered nonsense.
        """
        oracle = self._oracle
        with hyperband.failures_thrown_out(oracle), entry_values.in_range(), rollback.of_new_trials(oracle):
            known = len(oracle.trials)
            trial = self._call("create_trial", worker, others=len(oracle.ongoing_trials))
            self._check_kind(trial)
            if trial.status == _Status.RUNNING:
                self._check(trial, new=len(oracle.trials) > known)
        self._oracle.tuner_ids.discard(worker)
        if trial.status == _Status.IDLE:
            return NoSuggestion.IDLE
        if trial.status == _Status.STOPPED:
            # Random draws that find nothing new also answer STOPPED, perhaps while the space still grows.
            limit = self._oracle.max_trials
            full = limit is not None and len(self._oracle.trials) >= limit
            return NoSuggestion.EXHAUSTED if full else NoSuggestion.NOTHING_NEW
        if trial.status != _Status.RUNNING:
            raise OracleError(f"{type(self._oracle).__name__}.create_trial answered status {trial.status!r}")
        # The study manages leases. To the oracle a trial is ongoing until it ends, whichever worker holds it.
        self._oracle.ongoing_trials[trial.trial_id] = self._oracle.ongoing_trials.pop(worker)
        trial.metrics = metrics_tracking.MetricsTracker()
        trial.score, trial.message = None, None
        self._dirty.add(trial.trial_id)
        return Suggested(trial.trial_id, dict(trial.hyperparameters.values))

    def aside(self) -> Aside:
        """The remarks on the last `suggest`."""
        return self._populating.aside()

    def finish(
        self,
        trial_id: str,
        *,
        succeeded: bool,
        retry: bool = True,
        dropped: bool = False,
        reports: Sequence[Report] = (),
        message: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
    ) -> Result:
        """Reports a trial's end to the oracle.

        Args:
          trial_id: the trial.
          succeeded: whether it ran to its end; then `reports` hold the objective.
          retry: whether a trial that did not succeed may be retried, if the oracle still has a retry for it.
          dropped: whether its tuner deliberately ended it without success and without a retry.
          reports: its metrics, in order.
          message: why it did not succeed.
          hyperparameters: its `HyperParameters.get_config()` as the worker left it; new entries join the space.

        Returns:
          The oracle's verdict.

        Raises:
          OracleError: the oracle raised.
        """
        with rollback.of_end(self._oracle, self._oracle.trials[trial_id]):
            return self._finish(
                trial_id,
                succeeded=succeeded,
                retry=retry,
                dropped=dropped,
                reports=reports,
                message=message,
                hyperparameters=hyperparameters,
            )

    def _finish(
        self,
        trial_id: str,
        *,
        succeeded: bool,
        retry: bool,
        dropped: bool,
        reports: Sequence[Report],
        message: str | None,
        hyperparameters: Mapping[str, Any] | None,
    ) -> Result:
        trial = self._oracle.trials[trial_id]
        trial.score, trial.best_step = None, None
        trial.metrics = metrics_tracking.MetricsTracker()
        # A late result may find its trial in the retry queue, from which it would be suggested once more.
        self._oracle._retry_queue = [queued for queued in self._oracle._retry_queue if queued != trial_id]
        status = _Status.COMPLETED
        met, given, beyond = trial.hyperparameters, self._given.pop(trial_id, None), None
        # Most trials come back with unchanged entries; rebuilding them would take longer than everything else.
        if hyperparameters is not None and hyperparameters != given:
            brought = copies.hyperparameters(hyperparameters)
            beyond = objections.of_entries(self._oracle, brought, trial_id)
            beyond = beyond or objections.of_values(self._oracle, brought)
            met = brought if beyond is None else met
        if succeeded:
            message = self._objection(reports) or beyond
        if not succeeded or message is not None:
            status = _Status.INVALID if retry else _Status.FAILED
        elif reports:
            self._keep(trial, reports)
        ended = trial_module.Trial(
            hyperparameters=met,
            trial_id=trial_id,
            status=status,
            message=message,
        )
        self._call("end_trial", ended, others=len(self._oracle.ongoing_trials.keys() - {trial_id}))
        if trial.status == _Status.COMPLETED:
            with self._calls.guarded(f"score_trial set score={trial.score!r}, best_step={trial.best_step!r} and then"):
                trial.score, trial.best_step = float(trial.score), int(trial.best_step or 0)
        self._oracle.ongoing_trials.pop(trial_id, None)
        self._dirty.add(trial_id)
        # keras-tuner's own quick oracles do not change the values.
        fault = None if self.quick else trial_values.fault(trial.hyperparameters.values)
        if fault is not None:
            name = f"{type(self._oracle).__name__}.end_trial or score_trial"
            raise OracleError(f"{name} left trial {trial_id} with what nobody can store: {fault}")
        values = dict(trial.hyperparameters.values)
        if trial.status == _Status.COMPLETED:
            return Result(Verdict.COMPLETED, trial.score, trial.best_step, None, values)
        if status == _Status.COMPLETED and trial.message is None:
            # keras-tuner gives no reason when it fails a trial for a score of NaN.
            trial.message = f"{type(self._oracle).__name__} gave the trial the score {trial.score}: it counts as failed"
        failed = Verdict.DROPPED if dropped and not succeeded else Verdict.FAILED
        verdict = Verdict.RETRY if trial.status == _Status.INVALID else failed
        return Result(verdict, message=trial.message or message, hyperparameters=values)

    def space(self) -> dict[str, Any]:
        """The search space as of the last `changes`, as `HyperParameters.get_config()`. Thread-safe."""
        return self._state.space

    def update_space(self, config: Mapping[str, Any]) -> str | None:
        """Adds entries that a worker discovered, all or none of them.

        Args:
          config: `HyperParameters.get_config()` with the entries.

        Returns:
          Why the oracle cannot add them, None if it did.

        Raises:
          OracleError: the oracle raised.
        """
        met = copies.hyperparameters(config)
        refused = objections.of_entries(self._oracle, met)
        if refused is None:
            self._call("update_space", met)
        return refused

    def objection(self, config: Mapping[str, Any]) -> str | None:
        """Why the oracle could not continue from a stored trial with these hyperparameters; None if it could.

        Raises:
          OracleError: keras-tuner cannot parse them.
        """
        if not objections.looks_values_up(self._oracle):
            return None
        with self._calls.guarded("set_state"):
            return objections.of_values(self._oracle, copies.hyperparameters(config))

    def queued(self) -> frozenset[str]:
        """The trials that the oracle itself will suggest again."""
        return frozenset(self._oracle._retry_queue)

    def oracle_state(self) -> str:
        """The oracle as keras-tuner stores it (`Oracle.get_state()`), as JSON.

        Raises:
          OracleError: the oracle raised, or its state is not JSON-able.
        """
        with self._calls.guarded("get_state"):
            return encoding.dumps(self._oracle.get_state())

    def changes(self) -> dict[str, Any]:
        """What changed since the last call: {"state": a patch of `patches.diff`, "trials": {id: state}}.

        Raises:
          OracleError: the oracle raised, or its state is not JSON-able.
        """
        if not self._touched:
            return {"state": {}, "trials": {}}
        self._touched = False
        with self._calls.guarded("get_state"):
            trials = {trial_id: self._oracle.trials[trial_id].get_state() for trial_id in sorted(self._dirty)}
            patch = {"state": self._state.changes(self._dirty), "trials": trials}
            if not self.quick:
                # Checked here: when it is stored, an error could no longer be attributed to the oracle.
                encoding.dumps(patch)
        running = {trial_id: trial for trial_id, trial in trials.items() if trial["status"] == _Status.RUNNING}
        self._given.update({trial_id: trial["hyperparameters"] for trial_id, trial in running.items()})
        self._dirty.clear()
        return patch

    def restore(self, state: patches.State, trials: Mapping[str, Mapping[str, Any]]) -> None:
        """Restores the oracle from the merged `changes`.

        Args:
          state: the merged patches of its state.
          trials: keras-tuner's state of each trial, by id.

        Raises:
          OracleError: the oracle raised.
        """
        oracle = self._oracle
        with self._calls.guarded("set_state"):
            oracle.trials = {trial_id: copies.trial(state) for trial_id, state in trials.items()}
            if state:
                self._state.restore(state)

    def _check_kind(self, trial: object) -> None:
        """Checks that an overridden `create_trial` returned a trial."""
        if (
            not isinstance(trial, trial_module.Trial)
            or not isinstance(trial.trial_id, str)
            or not isinstance(trial.hyperparameters, hp_module.HyperParameters)
        ):
            name = f"{type(self._oracle).__name__}.create_trial"
            raise OracleError(f"{name} answered {fields.shown(trial)}, which is no trial with hyperparameters")

    def _check(self, trial: trial_module.Trial, *, new: bool) -> None:
        """Checks that the oracle gave a trial usable values, which fit the entries of its space.

        A trial may have changed its values when it ran: those of one that is retried, or continued in a later round of
        Hyperband, are not fitted again.
        """
        given = trial.hyperparameters
        fault, changed = trial_values.fault(given.values), False
        if fault is None and new and _GONE_ON_WITH not in given.values:
            try:
                changed = entry_values.fit_all(given.space, given.values)
            except entry_values.UnfitValue as error:
                fault = str(error)
        if fault is not None:
            name = f"{type(self._oracle).__name__}.populate_space"
            raise OracleError(f"{name} gave trial {trial.trial_id} what nobody can run it with: {fault}")
        if changed:
            with self._calls.guarded("_record_values"):
                # The oracle remembers tried configurations by their values.
                self._oracle._record_values(trial)

    def _keep(self, trial: trial_module.Trial, reports: Sequence[Report]) -> None:
        if not metric_history.is_kept_as_usual(self._oracle):
            for report in reports:
                metrics = metric_history.countable(self._oracle.objective, report.metrics)
                metric_history.make_known(trial.metrics, metrics)
                self._call("update_trial", trial.trial_id, metrics, step=report.step)
            return
        self._touched = True
        with self._calls.guarded("update_trial"):
            for report in reports:
                self._oracle._check_objective_found(report.metrics)
                metric_history.add(trial.metrics, self._oracle.objective, report.metrics, report.step)

    def _objection(self, reports: Sequence[Report]) -> str | None:
        objective = self._oracle.objective
        if not reports:
            return f"the trial ended without reporting its objective {objective.name!r}"
        for report in reports:
            if not objective.has_value(report.metrics):
                return missing_objective.reason(objective, report.metrics)
        scores = metric_history.scores(objective, [(report.step, report.metrics) for report in reports])
        if finite := [score for score in scores.values() if math.isfinite(score)]:
            return objections.of_score(self._oracle, max(finite, key=abs))
        return not_finite.reason(objective.name, list(scores.items()))

    def _call(self, method: str, *args: Any, others: int = 0, **kwargs: Any) -> Any:
        self._touched = True
        return self._calls.call(method, *args, others=others, **kwargs)
