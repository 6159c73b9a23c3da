"""One `keras.Model.fit`: its state is saved as it goes, and resumed by a later process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tensorflow import keras

from custom_components.distributed_tuner.worker.resume import callback_state, model_state, unkept
from custom_components.distributed_tuner.worker.resume.folder import FILE_ERRORS, CorruptFolder, Folder
from custom_components.distributed_tuner.worker.resume.input_position import InputPosition, skip_validations
from custom_components.distributed_tuner.worker.resume.pace import Pace
from custom_components.distributed_tuner.worker.termination import Departure

_LOG = logging.getLogger(__name__)

# Larger than any number of epochs: a training that had ended by itself trains no more.
_NO_MORE = 10**9


class KeptFit:
    """The state of one fit in a folder.

    Args:
      folder: the folder.
      pace: how often to save.
      position: advances the input.
      resumed: called with the number of epochs that need not be trained again.
      check_needed: called if no state is found, before the first epoch; raises if the fit is no longer needed.
      departure: whether the worker is to exit; unsaved epochs are reported to it.
    """

    def __init__(
        self,
        folder: Folder,
        pace: Pace,
        position: InputPosition,
        resumed: Callable[[int], None],
        check_needed: Callable[[], None],
        departure: Departure,
    ) -> None:
        self._departure = departure
        self._check_needed = check_needed
        self._folder = folder
        self._pace = pace
        self._position = position
        self._resumed = resumed
        self._arguments: Mapping[str, Any] = {}

    def prepare(self, arguments: Mapping[str, Any]) -> None:
        """Called before the fit with its arguments, by name."""
        self._arguments = arguments
        unkept.tell_of_input(arguments.get("x"))
        self._position.rewind(arguments.get("x"))
        self._position.rewind(arguments.get("validation_data"))

    def begin(self, history: keras.callbacks.History, others: Sequence[keras.callbacks.Callback]) -> None:
        """Restores the stored state, if there is any. Called when training begins, after the other callbacks.

        Args:
          history: the fit's history.
          others: the fit's other callbacks.
        """
        self._state = model_state.ModelState(history.model)
        self._callbacks = callback_state.CallbackState(others)
        self._cost: float | None = None
        self._saved = self._ended = time.monotonic()
        self._done = 0  # how many epochs the stored state includes
        self._told = False
        stored = self._load()
        if stored is None:
            self._check_needed()
            self._position.forward(0, None)
            return
        value, prefix = stored
        try:
            self._state.restore(prefix)
        except Exception:
            # The model is now neither new nor restored; the next attempt starts from scratch.
            self._folder.clear()
            raise
        history.history, history.epoch = value["history"], value["epochs"]
        callback_state.apply(others, value["callbacks"])
        self._done = done = value["epoch"] + 1
        history.model._training_state = _Start(_NO_MORE if value["stopped"] else done)
        self._position.forward(done - self._arguments.get("initial_epoch", 0), value.get("steps"))
        validations = max((len(values) for key, values in history.history.items() if key.startswith("val_")), default=0)
        skip_validations(self._arguments.get("validation_data"), validations, self._arguments.get("validation_steps"))
        self._resumed(len(history.epoch))
        _LOG.info("training goes on after epoch %d", done)

    def save(self, history: keras.callbacks.History, *, last: bool = False) -> None:
        """Saves the state if it is due. Called at the end of an epoch, after the other callbacks.

        A state that cannot be saved does not end the training.

        Args:
          history: the fit's history.
          last: whether the fit is cut short here, so that a save is due in any case.
        """
        began = time.monotonic()
        # The epoch is at stake also while it is being saved.
        self._departure.at_stake(began - self._ended)
        self._ended = began
        due = self._pace.due(began - self._saved, self._cost)
        if not last and not due and not self._departure.wanted:
            return
        epoch = int(history.epoch[-1])
        try:
            value: dict[str, Any] = {
                "epoch": epoch,
                "epochs": list(history.epoch),
                "history": dict(history.history),
                "stopped": bool(history.model.stop_training),
                "callbacks": self._callbacks.changes(),
                "model": self._state.signature(),
                "steps": self._position.steps(),
            }
            prefix = self._folder.new_prefix()
            self._state.write(prefix)
            self._folder.commit(prefix, value)
            if not self._done:
                unkept.tell_of_variables(self._state.strangers())
            self._done = epoch + 1
        except FILE_ERRORS as error:
            _LOG.warning("epoch %d could not be saved, a lost worker would lose it: %s", epoch + 1, error)
        except Exception as error:
            # TensorFlow cannot save every model that it can train, and the model and the callbacks are the user's.
            self._tell_unsavable(error)
        self._departure.safe()
        self._saved = time.monotonic()
        self._cost = self._saved - began

    def _tell_unsavable(self, error: Exception) -> None:
        if self._told:
            return
        self._told = True
        _LOG.warning(
            "the state of this training cannot be saved. It goes on, but if its worker is taken away, the next one "
            "trains it again from %s (see docs/resume.md): %s: %s",
            f"epoch {self._done + 1}" if self._done else "its start",
            type(error).__name__,
            " ".join(str(error).split()),
        )

    def discard(self) -> None:
        """Removes the state: the execution that the fit is part of has finished."""
        try:
            self._folder.discard()
        except FILE_ERRORS as error:
            _LOG.warning("the state of a finished training could not be removed: %s", error)

    def end(self, model: keras.Model) -> None:
        """Called after the fit, however it ended."""
        self._departure.safe()
        self._position.end()
        if isinstance(getattr(model, "_training_state", None), _Start):
            model._training_state = None

    def _load(self) -> tuple[dict[str, Any], str] | None:
        try:
            stored = self._folder.load()
            if stored is None:
                return None
            value, found = stored
            _check(value, self._state.signature())
            # Variables created later read the checkpoint then, when the process that wrote it may have removed it.
            prefix = self._folder.adopt(found)
            model_state.check_readable(prefix)
            return value, prefix
        except (ValueError, KeyError, TypeError, *FILE_ERRORS) as error:
            _LOG.warning("a saved state is of no use, its training begins again at its first epoch: %s", error)
            self._folder.clear()
            return None


def _check(value: dict[str, Any], signature: list[Any] | None) -> None:
    epochs, history = value["epochs"], value["history"]
    if not epochs or epochs[-1] != value["epoch"] or not isinstance(history, dict):
        raise CorruptFolder("the record of its epochs contradicts itself")
    if not isinstance(value["stopped"], bool) or not isinstance(value["callbacks"], list):
        raise CorruptFolder("the record lacks its callbacks")
    if signature is not None and value["model"] != signature:
        raise CorruptFolder("the state is that of another model; the model-building code has changed since")


class _Start:
    """Tells `fit` where to begin, in place of Keras' own fault tolerance.

    `initial_epoch` cannot be used: for arrays, Keras lays out the input for the epochs from there on.
    """

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def maybe_load_initial_counters_from_ckpt(self, steps: int, initial_epoch: int, mode: Any) -> tuple[int, int]:
        """(epoch, step) to begin with; called by Keras."""
        del steps, mode
        return max(self._epoch, initial_epoch), 0
