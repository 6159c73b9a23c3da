"""The state that callbacks have accumulated since they were made: best values, epochs waited, weights to restore.

Only plain attributes that changed are stored: a callback's configuration is always that of the code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow import keras

from custom_components.distributed_tuner.worker.resume import plain
from custom_components.distributed_tuner.worker.resume.unkept import Unkept

# Set by Keras, not by the callback.
_FOREIGN = frozenset({"model", "params", "validation_data"})
# TensorBoard's flags that this process's profiler runs: restored, they would stop a profiler that was never started.
_PROFILER = frozenset({"_is_tracing", "_profiler_started"})

State = list[list[Any]]


class CallbackState:
    """Records how the state of some callbacks changes from now on."""

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self._callbacks = list(callbacks)
        self._marks = [plain.mark(_attributes(callback)) for callback in self._callbacks]
        self._unkept = [Unkept(callback, _FOREIGN) for callback in self._callbacks]

    def changes(self) -> State:
        """[class name, changed attributes] of each callback, in order; logs changed attributes that are not plain."""
        for unkept in self._unkept:
            unkept.tell()
        return [
            [type(callback).__name__, _changed(marks, _attributes(callback))]
            for callback, marks in zip(self._callbacks, self._marks, strict=True)
        ]


def apply(callbacks: Sequence[keras.callbacks.Callback], state: State) -> None:
    """Sets the attributes from `CallbackState.changes` on callbacks, except on one of another class than stored."""
    for callback, (name, attributes) in zip(callbacks, state, strict=False):
        if type(callback).__name__ == name:
            vars(callback).update(attributes)


def _attributes(callback: keras.callbacks.Callback) -> dict[str, Any]:
    left_out = _FOREIGN | _PROFILER if isinstance(callback, keras.callbacks.TensorBoard) else _FOREIGN
    return {name: value for name, value in vars(callback).items() if name not in left_out and plain.is_plain(value)}


def _changed(marks: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in now.items()
        if name not in marks or not plain.same(marks[name], plain.mark(value))
    }
