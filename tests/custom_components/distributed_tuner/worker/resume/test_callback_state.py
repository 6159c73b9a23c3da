"""What callbacks remember, carried to another process."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tensorflow import keras

from custom_components.distributed_tuner.worker.resume import callback_state
from custom_components.distributed_tuner.worker.resume.callback_state import CallbackState


class Remembering(keras.callbacks.Callback):
    def __init__(self, patience: int = 3) -> None:
        super().__init__()
        self.patience = patience
        self.best: list[np.ndarray] = []  # type: ignore[type-arg]
        self.function = print

    def learn(self) -> None:
        self.best.append(np.arange(3))
        self.wait = 2


def test_only_what_changed_is_carried_over() -> None:
    callback = Remembering()
    state = CallbackState([callback, keras.callbacks.Callback()])
    assert state.changes() == [["Remembering", {}], ["Callback", {}]]
    callback.learn()
    changes = state.changes()
    assert set(changes[0][1]) == {"best", "wait"}
    later = Remembering(patience=9)
    callback_state.apply([later, keras.callbacks.Callback()], changes)
    assert (later.patience, later.wait, len(later.best)) == (9, 2, 1)


def test_what_keras_sets_is_left_alone() -> None:
    callback = Remembering()
    state = CallbackState([callback])
    callback.set_params({"epochs": 3})
    callback.set_model(keras.Sequential())
    assert state.changes() == [["Remembering", {}]]


def test_no_copy_is_made_of_a_callbacks_arrays() -> None:
    callback = Remembering()
    callback.best.append(np.zeros(4_000_000))
    tracemalloc.start()
    try:
        state = CallbackState([callback])
        assert state.changes() == [["Remembering", {}]]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < callback.best[0].nbytes / 4
    callback.best[0][-1] = 1.0
    assert set(state.changes()[0][1]) == {"best"}


class Board(keras.callbacks.TensorBoard):
    """A class of the user's own."""


@pytest.mark.parametrize("kind", [keras.callbacks.TensorBoard, Board])
def test_a_profiler_that_runs_is_not_carried_over(tmp_path: Path, kind: type[keras.callbacks.TensorBoard]) -> None:
    board = kind(str(tmp_path), profile_batch=0)
    state = CallbackState([board])
    board._is_tracing = board._profiler_started = True
    board._global_train_batch = 7
    assert state.changes() == [[kind.__name__, {"_global_train_batch": 7}]]


def test_another_class_at_its_place_is_left_alone() -> None:
    other = keras.callbacks.EarlyStopping()
    callback_state.apply([other], [["Remembering", {"wait": 7}]])
    assert other.wait == 0
    callback_state.apply([], [["Remembering", {"wait": 7}]])
