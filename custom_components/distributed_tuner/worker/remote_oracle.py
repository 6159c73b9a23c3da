"""What a tuner in a worker has in place of its oracle: a proxy for the search's oracle, which the chief runs."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from keras_tuner.src.engine import hyperparameters as hp_module
from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.engine import trial as trial_module

from custom_components.distributed_tuner.errors import DiskFull, WorkerReplaced, describe, storable
from custom_components.distributed_tuner.host import full_disk
from custom_components.distributed_tuner.oracle import metric_history
from custom_components.distributed_tuner.rpc import messages, protocol
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.messages import Next
from custom_components.distributed_tuner.space import copies, trial_values
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial
from custom_components.distributed_tuner.worker.renewal import Renewal, Renewed

_LOG = logging.getLogger(__name__)

_Status = trial_module.TrialStatus

# What only the chief's oracle knows. A worker's own oracle sees no trial, and would answer as if there were none.
_OF_THE_CHIEF = frozenset(
    {
        "trials",
        "ongoing_trials",
        "start_order",
        "end_order",
        "tuner_ids",
        "hyperparameters",
        "populate_space",
        "score_trial",
        "get_state",
        "set_state",
    }
)

# Longer than the chief holds a request open, so that a waiting chief is not taken for an unreachable one.
_SUGGEST_TIMEOUT_SECONDS = protocol.LONG_POLL_SECONDS + 30.0


class RemoteOracle:
    """The calls that a keras-tuner Tuner makes to its oracle.

    Metrics are collected here while the trial runs and are sent to the chief with its end, in one idempotent call. A
    tuner may also end its trial inside `run_trial`, as a note to itself: keras-tuner ends it again after that, with its
    final state, so only that later end counts.

    Args:
      local: the oracle that the user's `tuner_fn` made; only its settings are read, which are attributes here too.
      client: the connection to the chief.
      worker: this worker's id.
      process: this process's own id, see `Study.ask`.
      current: is kept up to date with the running trial.
      asked: set once the tuner has asked for a trial.
      places: where the search and its checkpoints are stored.
      renewal: decides between two trials whether this process should be replaced by a new one; if None, it never is.

    Attributes:
      over: whether the chief said that the search is over.
      renewed: why this process is to be replaced by a new one, None if it is not.
    """

    def __init__(
        self,
        local: oracle_module.Oracle,
        client: ChiefClient,
        worker: str,
        process: str,
        current: CurrentTrial,
        asked: threading.Event,
        places: Sequence[str] = (),
        renewal: Renewal | None = None,
    ) -> None:
        self._local = local
        self._client = client
        self._worker = worker
        self._process = process
        self._current = current
        self._trial: trial_module.Trial | None = None
        self._told: trial_module.Trial | None = None  # the trial whose end the chief heard last
        self._inside = False  # of `run_trial`
        self._ended_inside = False
        self._next: messages.Turn | messages.Ended | None = None
        self._reports: list[tuple[int, dict[str, float]]] = []
        self._asked = asked
        self._places = places
        self._renewal = renewal
        self.over = False
        self.renewed: str | None = None
        self.multi_worker = False
        self.should_report = True
        self.verbose: Any = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in _OF_THE_CHIEF:
            raise AttributeError(
                f"oracle.{name} is with the chief, for all workers of the search: a worker cannot have it. What it can "
                "ask for: oracle.get_best_trials(n), oracle.get_space(), and oracle.get_trial(id) of its own trial"
            )
        return getattr(self._local, name)

    @contextlib.contextmanager
    def watching(self, tuner: Any) -> Iterator[None]:
        """Within it `end_trial` can tell whether it is called from inside the tuner's `run_trial`."""
        run_trial = tuner.run_trial

        @functools.wraps(run_trial)
        def run(*args: Any, **kwargs: Any) -> Any:
            self._inside = True
            try:
                return run_trial(*args, **kwargs)
            finally:
                self._inside = False

        tuner.run_trial = run
        try:
            yield
        finally:
            tuner.run_trial = run_trial

    def create_trial(self, tuner_id: str) -> trial_module.Trial:
        """Waits for a trial. Its status is STOPPED when the search is over, IDLE when there is none yet.

        An earlier trial that was ended only inside `run_trial` ends now. One that was run but never ended fails:
        otherwise the chief would hand it out again, for ever.

        Raises:
          ChiefUnreachable: no chief answered within the worker's patience.
          DiskFull: see `end_trial`.
          WorkerReplaced: another process of this worker has replaced this one.
          Renewed: this process is to be replaced by a new one.
        """
        del tuner_id
        self._asked.set()
        if self._trial is not None and self._ended_inside:
            self.end_trial(self._trial)
        elif self._trial is not None:
            reason = (
                f"trial {self._trial.trial_id} was run and never ended: the tuner's on_trial_end must call "
                "super().on_trial_end(trial), or self.oracle.end_trial(trial)"
            )
            self._trial.status, self._trial.message = _Status.FAILED, _with_own(reason, self._trial)
            self.end_trial(self._trial)
        if self._renewal is not None:
            self.renewed = self.renewed or self._renewal.reason()
        if self.renewed is not None:
            raise Renewed(self.renewed)
        answer, self._next = self._next, None
        if answer is None:
            asked = messages.Suggest(self._worker, self._process)
            answer = self._client.ask(asked, timeout=_SUGGEST_TIMEOUT_SECONDS)
        if answer.answer is Next.REPLACED:
            raise WorkerReplaced(f"another process of {self._worker} has taken the place of this one, which ends")
        if answer.trial is None:
            self.over = answer.answer is Next.OVER
            status = _Status.STOPPED if self.over else _Status.IDLE
            return trial_module.Trial(hp_module.HyperParameters(), status=status)
        trial = copies.trial(answer.trial)
        trial.status = _Status.RUNNING
        self._trial, self._told, self._ended_inside, self._reports = trial, None, False, []
        self._current.begin(trial.trial_id, answer.attempt or 0, answer.search or "")
        return trial

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> trial_module.Trial:
        """Keeps metrics of the running trial; for one that has ended they have no effect.

        Raises:
          KeyError: this worker does not run the trial.
          ValueError: a metric, or the step, is no number.
        """
        trial = self.get_trial(trial_id)
        values = {name: _number(value, f"the metric {name!r}") for name, value in metrics.items()}
        at = _number(step, "the step")
        if not 0 <= at < 2**53:
            raise ValueError(f"metrics were reported at step {step}, which is no count of epochs")
        self._reports.append((int(at), values))
        metric_history.add(trial.metrics, self._local.objective, values, int(step))
        return trial

    def end_trial(
        self, trial: trial_module.Trial | str | None = None, status: str = _Status.COMPLETED, trial_id: str = ""
    ) -> None:
        """Reports the trial's end to the chief, unless called inside `run_trial`, or the chief took the trial away.

        Args:
          trial: the running trial, or its id, as in keras-tuner's first versions.
          status: how it ended, if only its id is given.
          trial_id: its id, instead of `trial`.

        Raises:
          ChiefUnreachable: no chief answered within the worker's patience.
          DiskFull: the trial failed because the search's storage is full; no end is reported.
          KeyError: this worker does not run the trial.
          ValueError: it is ended as completed inside `run_trial` before its objective was reported.
        """
        if trial is None or isinstance(trial, str):
            ended = self.get_trial(trial or trial_id)
            ended.status = status
        else:
            ended = trial
        held, at_hand = self._current.held, self._trial
        if held is not None and at_hand is not None and ended is at_hand and ended.trial_id != held:
            _LOG.warning("trial %s was given the id %.60r by its tuner, which changes nothing", held, ended.trial_id)
            ended.trial_id = held
        running = self.get_trial(ended.trial_id)
        if running is self._told:
            _LOG.warning("trial %s has ended before: this second end of it changes nothing", ended.trial_id)
        elif self._inside:
            self._end_inside(running, ended)
        else:
            self._end(ended)

    def _end_inside(self, running: trial_module.Trial, trial: trial_module.Trial) -> None:
        if trial.status == _Status.COMPLETED:
            objective = self._local.objective
            if not running.metrics.exists(objective.name):
                raise ValueError(
                    f"trial {trial.trial_id} was ended as completed inside of run_trial before its objective was "
                    f"reported: call self.oracle.update_trial(trial.trial_id, {{{objective.name!r}: …}}) first, or end "
                    "nothing there and let run_trial return it"
                )
            self._set_score(running)
        running.status, running.message = trial.status, trial.message
        running.hyperparameters = trial.hyperparameters
        self._ended_inside = True

    def _end(self, trial: trial_module.Trial) -> None:
        trial.message = None if trial.message is None else storable(trial.message)
        if trial.status != _Status.COMPLETED and (reason := full_disk.reason(trial.message or "", self._places)):
            raise DiskFull(f"trial {trial.trial_id} {reason}\n{trial.message}")
        # A process that is about to be replaced takes no further trial: it would be lost with the process.
        goes_on = self._renewal is None or not self._renewal.trial_ended()
        if not self._current.abandoned:
            hyperparameters, unsendable = _config(trial.hyperparameters)
            if unsendable:
                trial.message = _with_own(f"trial {trial.trial_id} cannot be stored: {unsendable}", trial)
                trial.status = _Status.INVALID if trial.status == _Status.COMPLETED else trial.status
            self._tell_end(trial, hyperparameters, goes_on)
        if trial.status == _Status.COMPLETED:
            self._set_score(trial)
        self._trial, self._told, self._reports = None, trial, []
        self._current.end()

    def _set_score(self, trial: trial_module.Trial) -> None:
        """Scores the trial as keras-tuner would. If the oracle overrides scoring, only the chief knows the score."""
        usual = type(self._local).score_trial is oracle_module.Oracle.score_trial
        if usual and trial.metrics.exists(self._local.objective.name):
            self._local.score_trial(trial)

    def give_back_next(self) -> None:
        """Gives back the next trial, if the worker exits after it was given one.

        Raises:
          ChiefUnreachable: no chief answered within the worker's patience; the trial's lease will expire.
        """
        if self._next is not None and self._next.trial is not None:
            trial_id = self._next.trial["trial_id"]
            self._next = None
            self._current.promise(None)
            self._client.ask(messages.Release(self._worker, trial_id, self._process))

    def _tell_end(self, trial: trial_module.Trial, hyperparameters: dict[str, Any] | None, goes_on: bool) -> None:
        succeeded = trial.status == _Status.COMPLETED
        failed = trial.status in (_Status.FAILED, _Status.INVALID)
        message = trial.message or f"its tuner ended it with status {trial.status} and gave no reason"
        told = messages.Finish(
            self._worker,
            trial.trial_id,
            succeeded,
            self._process,
            retry=trial.status == _Status.INVALID,
            dropped=not succeeded and not failed,
            reports=self._reports if succeeded else (),
            message=None if succeeded else storable(message),
            hyperparameters=hyperparameters,
            epochs=self._current.epochs,
            attempt=self._current.attempt,
            cut=self._current.cut,
            next=goes_on,
        )
        answer = self._client.ask(told, timeout=60.0)
        # If the answer is not a trial, it is asked for again with a request that the chief may hold open.
        if answer.trial is not None:
            self._next = answer
            self._current.promise(answer.trial["trial_id"])

    def end_running(self, error: BaseException, *, retry: bool) -> bool:
        """Ends the running trial because of an error that keras-tuner does not catch.

        Args:
          error: the error.
          retry: whether the trial may be retried.

        Returns:
          Whether a trial was running.

        Raises:
          ChiefUnreachable: no chief answered within the worker's patience.
        """
        if self._trial is None:
            return False
        self._trial.status = _Status.INVALID if retry else _Status.FAILED
        self._trial.message = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self.end_trial(self._trial)
        return True

    def get_trial(self, trial_id: str) -> trial_module.Trial:
        """The running trial or, until the next one begins, the one that ended last.

        Raises:
          KeyError: this worker does not run the trial.
        """
        trial = self._trial or self._told
        if trial is None or trial.trial_id != trial_id:
            raise KeyError(f"trial {trial_id} does not run in this worker")
        return trial

    def get_space(self) -> hp_module.HyperParameters:
        """The search space as the chief knows it."""
        config = self._client.ask(messages.Space()).hyperparameters
        return copies.hyperparameters(config)

    def update_space(self, hyperparameters: hp_module.HyperParameters) -> None:
        """Adds new hyperparameters to the space.

        Raises:
          TypeError: one of them has a value that JSON cannot hold.
        """
        config, unsendable = _config(hyperparameters)
        if config is None:
            raise TypeError(unsendable)
        self._client.ask(messages.UpdateSpace(config, self._worker, self._process, self._current.held))

    def get_best_trials(self, num_trials: int = 1) -> list[trial_module.Trial]:
        """The best completed trials of the search, best first."""
        return [copies.trial(state) for state in self._client.best(num_trials)]

    def remaining_trials(self) -> None:
        """Unknown to a worker."""
        return None

    def save(self) -> None:
        """Nothing: the chief stores the search."""

    def reload(self) -> None:
        """Nothing: the chief restores the search."""


def _config(hyperparameters: Any) -> tuple[dict[str, Any] | None, str | None]:
    """(The trial's hyperparameters as sent to the chief, None), or (None, why they cannot be sent)."""
    if not isinstance(hyperparameters, hp_module.HyperParameters):
        return None, f"its hyperparameters are {type(hyperparameters).__name__}, no HyperParameters of keras-tuner"
    try:
        config = hyperparameters.get_config()
        fault = trial_values.fault_of_config(config)
        if fault is not None:
            return None, fault
        protocol.encode(config)
    except Exception as error:
        # Entries and values may be objects of any class.
        return None, f"its hyperparameters are not what JSON can hold: {describe(error)}"
    return config, None


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        shown = f"{value!r:.60}"
        raise ValueError(f"{name} was reported as {shown}, which is no number: {describe(error)}") from error


def _with_own(reason: str, trial: trial_module.Trial) -> str:
    """The reason why a trial counts as failed, followed by the trial's own message, if any."""
    return f"{reason}\nThe trial itself failed too:\n{trial.message}" if trial.message else reason
