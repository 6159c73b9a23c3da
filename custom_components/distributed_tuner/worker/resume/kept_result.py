"""The result of a finished execution, stored with the final state of its callbacks and hyperparameters."""

from __future__ import annotations

import logging
from typing import Any

from tensorflow import keras

from custom_components.distributed_tuner.space import copies
from custom_components.distributed_tuner.worker.resume import callback_state, folder, plain
from custom_components.distributed_tuner.worker.resume.folder import FILE_ERRORS, Folder

_LOG = logging.getLogger(__name__)


def load(store: Folder) -> dict[str, Any] | None:
    """What `keep` stored: its arguments by name. None if there is nothing, or it is damaged; then it is removed."""
    try:
        stored = store.load()
        if stored is None:
            return None
        value: dict[str, Any] = stored[0]
        to_result(value["result"])
        copies.hyperparameters(value["hyperparameters"])
        if not isinstance(value["callbacks"], list) or not isinstance(value["epochs"], int):
            raise folder.CorruptFolder("the result lacks its callbacks")
        return value
    except (ValueError, KeyError, TypeError, *FILE_ERRORS) as error:
        _LOG.warning("the saved result of an execution is of no use, it runs again: %s", error)
        store.clear()
        return None


def keep(
    store: Folder,
    result: Any,
    callbacks: callback_state.CallbackState,
    hyperparameters: dict[str, Any],
    epochs: int,
) -> bool:
    """Stores the result of an execution.

    Args:
      store: the execution's folder.
      result: what keras-tuner's `_build_and_fit_model` returned.
      callbacks: the state of its callbacks.
      hyperparameters: `HyperParameters.get_config()` after it.
      epochs: how many epochs it took.

    Returns:
      Whether the result could be stored.
    """
    try:
        stored = _from_result(result)
        value = {
            "result": stored,
            "callbacks": callbacks.changes(),
            "hyperparameters": hyperparameters,
            "epochs": epochs,
        }
        if stored is None or not plain.is_plain(value):
            _LOG.info("a result of type %s cannot be kept; a lost worker would repeat it", type(result).__name__)
            return False
        store.commit(store.new_prefix(), value)
    except Exception as error:
        # The disk or a callback is at fault: the result in memory is as good as ever.
        _LOG.warning(
            "a finished execution could not be saved, a lost worker would repeat it: %s: %s",
            type(error).__name__,
            error,
        )
        return False
    return True


def _from_result(result: Any) -> dict[str, Any] | None:
    if isinstance(result, keras.callbacks.History):
        params = result.params if plain.is_plain(result.params) else {}
        return {"history": dict(result.history), "epoch": list(result.epoch), "params": params}
    return {"plain": result} if plain.is_plain(result) else None


def to_result(stored: dict[str, Any]) -> Any:
    """The result as keras-tuner had it, made from the "result" that `load` returned."""
    if "plain" in stored:
        return stored["plain"]
    history = keras.callbacks.History()
    history.history, history.epoch, history.params = stored["history"], stored["epoch"], stored["params"]
    return history
