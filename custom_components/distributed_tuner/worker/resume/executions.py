"""The executions of a worker's trial: the results of finished ones are kept, an unfinished one is resumed.

<project>/trial_<id>/resume/<key>-attempt_<n>/execution_<n>/          the result, once it is finished
<project>/trial_<id>/resume/<key>-attempt_<n>/execution_<n>/fit_<n>/  the state of a fit until then

The key is made from the search and the trial's hyperparameters. A project folder may be shared by several searches,
one after the other or at the same time, whose trials have the same ids: none must resume another's state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf
from keras_tuner.src.engine import tuner as tuner_module
from tensorflow import keras

from custom_components.distributed_tuner.space import copies
from custom_components.distributed_tuner.storage import search_dir
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial
from custom_components.distributed_tuner.worker.resume import callback_state, folder, kept_result
from custom_components.distributed_tuner.worker.resume.fit import KeptFit
from custom_components.distributed_tuner.worker.resume.folder import FILE_ERRORS, Folder
from custom_components.distributed_tuner.worker.resume.input_position import InputPosition
from custom_components.distributed_tuner.worker.resume.isolation import Isolation
from custom_components.distributed_tuner.worker.resume.pace import Pace
from custom_components.distributed_tuner.worker.resume.shared import SharedState
from custom_components.distributed_tuner.worker.termination import Departure

_LOG = logging.getLogger(__name__)


class _FinishedElsewhere(BaseException):
    """A worker presumed lost has finished the execution. Not an Exception, so that only this module catches it."""

    def __init__(self, kept: dict[str, Any]) -> None:
        super().__init__()
        self.kept = kept


class _LeftOut(BaseException):
    """The chief ordered the trial to end before this execution begins. Raised only inside keras-tuner's own loop."""


@dataclasses.dataclass
class _Running:
    trial_id: str
    attempt: int
    path: str
    execution: int = 0
    cut: bool = False  # the chief ordered the trial to end: whatever is trained from now on is incomplete
    looping: bool = False  # within keras-tuner's own loop over the executions
    results: list[Any] = dataclasses.field(default_factory=list)  # of the executions so far
    fits: list[KeptFit] = dataclasses.field(default_factory=list)  # of the current execution
    epochs: int = 0  # likewise

    def execution_path(self) -> str:
        return f"{self.path}/execution_{self.execution}"


class Executions:
    """Keeps the executions of a tuner's trials.

    Args:
      current: the running trial; epochs that need not be trained again are reported to it.
      pace: how often to save.
      departure: whether the worker is to exit; unsaved epochs are reported to it.
    """

    def __init__(self, current: CurrentTrial, pace: Pace | None = None, departure: Departure | None = None) -> None:
        self._current = current
        self._pace = pace or Pace()
        self._departure = departure or Departure()
        self._position = InputPosition()
        self._shared = SharedState()
        self._running: _Running | None = None
        self._tuner: Any = None
        self._isolation: Isolation | None = None
        self._begun = 0  # the stay whose trial has begun
        self._finishing: Callable[[], str | None] = lambda: None

    @contextlib.contextmanager
    def kept(self, tuner: Any, finishing: Callable[[], str | None] = lambda: None) -> Iterator[None]:
        """Within it the state of this tuner's trials is kept. The seed that the user set, if any, is read on entry.

        Args:
          tuner: the user's tuner.
          finishing: returns why the chief ordered the running trial to end, if it did. Later executions are then left
            out: each of them would be cut short after one epoch, and count as much as the others.
        """
        self._tuner, self._finishing, self._isolation = tuner, finishing, Isolation(tuner)
        with self._position.installed(), self._loop_followed(), self._methods_replaced(tuner):
            yield

    @contextlib.contextmanager
    def _methods_replaced(self, tuner: Any) -> Iterator[None]:
        run_trial, build_and_fit = tuner.run_trial, getattr(tuner, "_build_and_fit_model", None)
        on_trial_begin = tuner.on_trial_begin

        def begin_isolated(trial: Any) -> None:
            self._isolate(trial)
            on_trial_begin(trial)

        def run_kept(trial: Any, *args: Any, **kwargs: Any) -> Any:
            self._isolate(trial)
            self._begin(trial)
            # Input that the trial reads before it trains (a sample to adapt a layer to, say) is rewound too.
            self._position.rewind_all([*args, *kwargs.values()])
            try:
                return run_trial(trial, *args, **kwargs)
            finally:
                self._running = None

        def build_and_fit_kept(trial: Any, *args: Any, **kwargs: Any) -> Any:
            return self._execute(build_and_fit, trial, *args, **kwargs)

        tuner.on_trial_begin, tuner.run_trial = begin_isolated, run_kept
        if build_and_fit is not None:
            tuner._build_and_fit_model = build_and_fit_kept
        try:
            yield
        finally:
            del tuner.on_trial_begin, tuner.run_trial
            if build_and_fit is not None:
                del tuner._build_and_fit_model

    @contextlib.contextmanager
    def _loop_followed(self) -> Iterator[None]:
        """Lets `_LeftOut` end keras-tuner's loop only: a user's tuner may process the results that it returns."""
        loop = tuner_module.Tuner.run_trial

        @functools.wraps(loop)
        def run_trial(tuner: Any, *args: Any, **kwargs: Any) -> Any:
            running = self._running
            if running is None or tuner is not self._tuner:
                return loop(tuner, *args, **kwargs)
            running.looping, first = True, len(running.results)
            try:
                return loop(tuner, *args, **kwargs)
            except _LeftOut:
                return running.results[first:]
            finally:
                running.looping = False

        tuner_module.Tuner.run_trial = run_trial
        try:
            yield
        finally:
            tuner_module.Tuner.run_trial = loop

    def next_fit(self) -> KeptFit | None:
        """The state of the fit that begins now; None outside trials, and after a fit that was cut short."""
        running = self._running
        if running is None or running.cut:
            return None
        store = Folder(f"{running.execution_path()}/fit_{len(running.fits)}")
        kept = KeptFit(store, self._pace, self._position, self._resumed, self._check_needed, self._departure)
        running.fits.append(kept)
        return kept

    def trained(self, model: keras.Model) -> None:
        """A fit of the running trial has ended."""
        if (running := self._running) is not None:
            self._shared.look(model, (running.trial_id, running.attempt, running.execution))

    def epoch(self) -> None:
        """An epoch of the running trial is finished."""
        self._current.epoch()
        if self._running is not None:
            self._running.epochs += 1

    def cut(self) -> None:
        """The running fit ends here because the chief ordered it; without the limit the trial would continue.

        So its state is kept, and the execution does not count as finished.
        """
        if self._running is not None:
            self._running.cut = True

    def _isolate(self, trial: Any) -> None:
        """Isolates each trial once, before any of its code runs: a custom search loop may not call `on_trial_begin`."""
        if self._isolation is not None and self._begun != self._current.stay:
            self._begun = self._current.stay
            self._isolation.begin_trial(trial.trial_id, self._current.attempt)

    def _begin(self, trial: Any) -> None:
        trial_id, attempt = trial.trial_id, self._current.attempt
        path = f"{self._tuner.get_trial_dir(trial_id)}/{search_dir.RESUME}"
        key = _key(self._current.search, trial.hyperparameters.values)
        name = f"{key}-attempt_{attempt}"
        try:
            entries = tf.io.gfile.listdir(path) if tf.io.gfile.isdir(path) else ()
            others = [entry.rstrip("/") for entry in entries if entry.rstrip("/") != name]
            if not all(other.startswith(f"{key}-") for other in others):
                _LOG.warning(
                    "trial %s: %s holds what another search, or other hyperparameters, left; it is removed, not used",
                    trial_id,
                    path,
                )
            for other in others:
                folder.remove(f"{path}/{other}")
        except FILE_ERRORS as error:
            _LOG.warning("earlier attempts at trial %s could not be removed: %s", trial_id, error)
        self._running = _Running(trial_id, attempt, f"{path}/{name}")

    def _execute(self, build_and_fit: Any, trial: Any, *args: Any, **kwargs: Any) -> Any:
        running = self._running
        if running is None or self._isolation is None:
            return build_and_fit(trial, *args, **kwargs)
        with self._isolation.execution(running.trial_id, running.attempt, running.execution):
            result = self._execute_isolated(running, build_and_fit, trial, *args, **kwargs)
        running.results.append(result)
        running.execution += 1
        running.fits, running.epochs = [], 0
        return result

    def _execute_isolated(self, running: _Running, build_and_fit: Any, trial: Any, *args: Any, **kwargs: Any) -> Any:
        callbacks = list(kwargs.get("callbacks") or ())
        store = Folder(running.execution_path())
        kept = kept_result.load(store)
        result = None
        if kept is None and running.looping and running.results and (reason := self._finishing()) is not None:
            _LOG.info("trial %s: left out from execution %d on: %s", trial.trial_id, running.execution, reason)
            self._current.cut_short(reason)
            raise _LeftOut
        if kept is None:
            self._position.rewind_all([*args, *kwargs.values()])
            state = callback_state.CallbackState(callbacks)
            try:
                result = build_and_fit(trial, *args, **kwargs)
            except _FinishedElsewhere as finished:
                kept = finished.kept
            else:
                hyperparameters = trial.hyperparameters.get_config()
                if not running.cut and kept_result.keep(store, result, state, hyperparameters, running.epochs):
                    for fit in running.fits:
                        fit.discard()
        if kept is not None:
            callback_state.apply(callbacks, kept["callbacks"])
            # Building the model would have added the hyperparameters that only the model-building code knows.
            trial.hyperparameters = copies.hyperparameters(kept["hyperparameters"])
            self._resumed(kept["epochs"])
            _LOG.info("trial %s: execution %d was finished before", trial.trial_id, running.execution)
            result = kept_result.to_result(kept["result"])
        return result

    def _check_needed(self) -> None:
        """Raises `_FinishedElsewhere` if the result is there by now.

        A worker that is cut off from its chief trains on in parallel with the next one, and removes the saved state
        once it has stored the result.
        """
        if self._running is not None and (kept := kept_result.load(Folder(self._running.execution_path()))) is not None:
            raise _FinishedElsewhere(kept)

    def _resumed(self, epochs: int) -> None:
        self._current.resumed((self._current.epochs or 0) + epochs)
        if self._running is not None:
            self._running.epochs += epochs


def _key(search: str, hyperparameters: Mapping[str, Any]) -> str:
    text = f"{search}/{json.dumps(dict(hyperparameters), sort_keys=True, default=repr)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
