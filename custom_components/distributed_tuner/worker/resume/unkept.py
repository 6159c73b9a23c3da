"""Warns once of state that is not kept: callbacks' non-plain attributes, untracked variables, the order of inputs."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Collection, Iterator, Mapping, Sequence, Set, Sized
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from custom_components.distributed_tuner.worker.resume import input_position, plain

_LOG = logging.getLogger(__name__)

# The state of their callbacks is either plain or does not matter.
_LIBRARIES = ("keras.", "keras_tuner.", "tensorflow.")
# Saved elsewhere, or configuration.
_NO_STATE = (tf.Module, tf.data.Dataset, keras.optimizers.Optimizer, type)
_DEEPEST = 4
_LARGEST = 1000
_MOST = 10_000

_told: set[str] = set()


class Unkept:
    """Watches the attributes of one callback that are not plain, from now on.

    Args:
      callback: the callback.
      foreign: the attributes that are not the callback's own.
    """

    def __init__(self, callback: keras.callbacks.Callback, foreign: frozenset[str]) -> None:
        self._callback = callback
        self._foreign = foreign
        self._class = f"{type(callback).__module__}.{type(callback).__qualname__}"
        self._before = self._pictures()

    def tell(self) -> None:
        """Logs a warning if some of them changed, once per class of callbacks in a process."""
        if self._class in _told or self._class.startswith(_LIBRARIES):
            return
        now = self._pictures()
        changed = [name for name, picture in now.items() if not plain.same(self._before.get(name), picture)]
        if changed:
            _told.add(self._class)
            _LOG.warning(
                "the callback %s has state that a lost worker takes with it: %s. The next worker's begins anew, and "
                "the results may differ. Kept are numbers, text, arrays, and lists, tuples and dicts of them; see "
                "docs/resume.md",
                type(self._callback).__name__,
                ", ".join(f"{name} ({type(vars(self._callback)[name]).__name__})" for name in changed),
            )

    def _pictures(self) -> dict[str, Any]:
        if self._class.startswith(_LIBRARIES):
            return {}
        return {
            name: _picture(value)
            for name, value in vars(self._callback).items()
            if name not in self._foreign and not plain.is_plain(value)
        }


def tell_of_variables(names: Sequence[str]) -> None:
    """Logs a warning, once per variable in a process, that these variables are not kept."""
    fresh = [name for name in names if name not in _told]
    if fresh:
        _told.update(fresh)
        _LOG.warning(
            "the training uses variables that a lost worker takes with it: %s. The next worker's begin anew, and the "
            "results may differ. Kept is what attributes of the model, its layers, losses and metrics lead to; see "
            "docs/resume.md",
            ", ".join(fresh),
        )


def tell_of_input(data: Any) -> None:
    """Logs a warning, once per kind of input in a process, if a later process may get this input in another order."""
    if input_position.caches_an_order(data):
        kind, why = "cache", "a tf.data cache behind a shuffle holds the order of this process's first pass"
    elif isinstance(data, keras.utils.Sequence) and type(data).on_epoch_end is not keras.utils.Sequence.on_epoch_end:
        kind = f"{type(data).__module__}.{type(data).__qualname__}"
        why = f"{type(data).__name__}.on_epoch_end goes on from wherever this process's earlier executions left it"
    else:
        return
    if kind not in _told:
        _told.add(kind)
        _LOG.warning("what a lost worker's successor trains on may come in another order: %s; see docs/resume.md", why)


def _picture(value: Any) -> Any:
    """A plain value that changes when the content of `value` does, as far as that can be detected cheaply."""
    try:
        return _look(value, 0, itertools.count())
    except Exception:
        # Methods of user classes were called. A value that cannot be inspected counts as unchanged.
        return type(value).__name__


def _look(value: Any, depth: int, looked: Iterator[int]) -> Any:
    kind = type(value).__name__
    if depth > _DEEPEST or next(looked) > _MOST:
        return kind
    if isinstance(value, (str, int, float, bool, type(None), np.generic)):
        return str(value)
    if isinstance(value, np.ndarray) and value.size <= _LARGEST:
        return [kind, str(value.tolist())]
    if isinstance(value, (tf.Variable, tf.Tensor)):
        return [kind, str(value.numpy())] if hasattr(value, "numpy") else kind
    if isinstance(value, _NO_STATE) or callable(value):
        return kind
    if isinstance(value, random.Random):
        return [kind, str(value.getstate())]
    if isinstance(value, np.random.Generator):
        return [kind, str(value.bit_generator.state)]
    if isinstance(value, np.random.RandomState):
        return [kind, str(value.get_state(legacy=False))]
    if isinstance(value, Sized) and len(value) > _LARGEST:
        return [kind, len(value)]
    if isinstance(value, Mapping):
        items = [[_look(key, depth + 1, looked), _look(item, depth + 1, looked)] for key, item in value.items()]
        return [kind, items]
    if isinstance(value, Set):
        return [kind, sorted(str(_look(item, depth + 1, looked)) for item in value)]
    if isinstance(value, Collection):
        return [kind, [_look(item, depth + 1, looked) for item in value]]
    return [kind, {name: _look(item, depth + 1, looked) for name, item in getattr(value, "__dict__", {}).items()}]
