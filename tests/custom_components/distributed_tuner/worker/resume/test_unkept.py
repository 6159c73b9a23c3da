"""What a callback loses with its worker is told, once."""

from __future__ import annotations

import collections
import logging
import random
import threading
import types
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from custom_components.distributed_tuner.worker.resume import unkept
from custom_components.distributed_tuner.worker.resume.callback_state import CallbackState


class Holding(keras.callbacks.Callback):
    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held
        self.epochs = 0


@pytest.fixture(autouse=True)
def nobody_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(unkept, "_told", set())
    caplog.set_level(logging.WARNING)


class Sulky:
    """Cannot be looked at."""

    def __len__(self) -> int:
        raise RuntimeError("not now")


def count(held: Any) -> None:
    held.count += 1


@pytest.mark.parametrize(
    ("held", "change"),
    [
        (collections.deque([1.0]), lambda held: held.append(2.0)),
        (collections.deque([1.0], maxlen=1), lambda held: held.append(2.0)),
        ({1}, lambda held: held.add(2)),
        (collections.defaultdict(list), lambda held: held["loss"].append(1.0)),
        ([{1}], lambda held: held[0].add(2)),
        ([[1], [1, 2], {3}], lambda held: held[1].append(2)),
        (types.SimpleNamespace(count=0), count),
        (tf.Variable(0.0), lambda held: held.assign_add(1.0)),
        (np.random.RandomState(1), lambda held: held.normal()),
        (np.random.default_rng(1), lambda held: held.normal()),
        (random.Random(1), lambda held: held.random()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_changed_and_is_not_kept_is_told_once(held: Any, change: Any, caplog: pytest.LogCaptureFixture) -> None:
    callback = Holding(held)
    state = CallbackState([callback])
    state.changes()
    assert not caplog.records
    change(held)
    state.changes()
    change(held)
    state.changes()
    CallbackState([Holding(held)]).changes()
    (record,) = caplog.records
    assert f"the callback Holding has state that a lost worker takes with it: held ({type(held).__name__})" in (
        record.getMessage()
    )


def test_what_is_kept_or_never_changes_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse")
    callbacks = [
        Holding(held) for held in ([1], print, threading.Lock(), model, {1, 2}, logging.getLogger("a"), Sulky())
    ]
    libraries = [keras.callbacks.EarlyStopping("loss"), keras.callbacks.ModelCheckpoint("unused", "loss")]
    state = CallbackState([*callbacks, *libraries])
    for callback in callbacks:
        callback.epochs += 1
    callbacks[0].held.append(2)
    model.set_weights([weight + 1.0 for weight in model.get_weights()])
    changes = state.changes()
    assert changes[0] == ["Holding", {"held": [1, 2], "epochs": 1}]
    assert not caplog.records


class Still(keras.utils.Sequence):
    def __len__(self) -> int:
        return 1


class Shuffling(Still):
    def on_epoch_end(self) -> None:
        pass


def _numbers() -> tf.data.Dataset:
    return tf.data.Dataset.range(4)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (_numbers().shuffle(4, seed=1).cache().batch(2), "a tf.data cache behind a shuffle"),
        (_numbers().shuffle(4, seed=1).map(lambda row: row).cache().shuffle(4, seed=2), "a tf.data cache behind"),
        (_numbers().cache().shuffle(4, seed=1).batch(2), ""),
        (_numbers().shuffle(4, seed=1, reshuffle_each_iteration=False).cache(), ""),
        (Shuffling(), "Shuffling.on_epoch_end goes on"),
        (Still(), ""),
        (np.zeros(3), ""),
        (None, ""),
    ],
)
def test_an_input_whose_order_is_not_kept_is_told_once(data: Any, told: str, caplog: pytest.LogCaptureFixture) -> None:
    unkept.tell_of_input(data)
    unkept.tell_of_input(data)
    assert len(caplog.messages) == bool(told)
    assert told in caplog.text
