"""Whatever a model remembers beside its weights goes on where a lost worker left it, to the bit."""

from __future__ import annotations

import logging
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf
from resumed_tuners import BATCH, COLUMNS, build_words, data, words
from tensorflow import keras

from custom_components.distributed_tuner.worker.resume import unkept

from .conftest import OBJECTIVE, TrialRunner

layers = keras.layers

EPOCHS = 3


@pytest.fixture(autouse=True)
def nobody_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(unkept, "_told", set())
    caplog.set_level(logging.WARNING)


def numbers(*inner: keras.layers.Layer, optimizer: Any = "sgd", loss: Any = "mse", metrics: Any = ()) -> keras.Model:
    """A model over numbers, with these layers in it."""
    model = keras.Sequential([keras.Input((COLUMNS,)), *inner, layers.Dropout(0.2), layers.Dense(1)])
    model.compile(optimizer, loss=loss, metrics=list(metrics))
    return model


def categories() -> keras.Model:
    """Each kind of vocabulary over numbers, adapted as the model is built."""
    x = data()[0][:, :1]
    known = layers.IntegerLookup(output_mode="count")
    known.adapt(np.round(x).astype("int64"))
    bins, scale = layers.Discretization(num_bins=4, output_mode="one_hot"), layers.Normalization()
    bins.adapt(x)
    scale.adapt(x)
    given = keras.Input((COLUMNS,))
    first = given[:, :1]
    rounded = tf.cast(tf.round(first), tf.int64)
    parts = [known(rounded), bins(first), scale(first), layers.CategoryEncoding(3, output_mode="one_hot")(rounded % 3)]
    model = keras.Model(given, layers.Dense(1)(layers.Dropout(0.2)(layers.Concatenate()(parts))))
    model.compile("adam", loss="mse")
    return model


def scaled_loss(legacy: bool) -> keras.Model:
    """Mixed precision, whose scale grows after every other step."""
    inner = keras.optimizers.legacy.Adam(0.01) if legacy else keras.optimizers.Adam(0.01)
    optimizer = keras.mixed_precision.LossScaleOptimizer(inner, dynamic_growth_steps=2)
    return numbers(layers.Dense(4, dtype=keras.mixed_precision.Policy("mixed_float16")), optimizer=optimizer)


def averaged() -> keras.Model:
    """An optimizer that keeps moving averages of the weights, and puts them in their place now and then."""
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=4)
    return numbers(layers.Dense(4), optimizer=optimizer)


class Total(keras.metrics.Metric):
    """Goes on over all epochs."""

    def __init__(self) -> None:
        super().__init__(name="total")
        self.sum = self.add_weight("sum", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.sum.assign_add(tf.reduce_mean(tf.abs(y_true - y_pred)))

    def result(self) -> Any:
        return self.sum

    def reset_state(self) -> None:
        pass


def measured() -> keras.Model:
    """Metrics of all kinds: one that goes on, and those that begin again."""
    metrics = [Total(), keras.metrics.RootMeanSquaredError(), keras.metrics.R2Score(), "mae"]
    return numbers(layers.Dense(4), metrics=metrics)


class Remembering(keras.layers.Layer):
    """Has state of all kinds that Keras tracks."""

    def __init__(self) -> None:
        super().__init__()
        zero = {"initial_value": 0.0, "trainable": False}
        self.generator = tf.random.Generator.from_seed(3)
        self.steps = [tf.Variable(**zero), tf.Variable(**zero)]
        self.named = {"a": tf.Variable(**zero)}
        self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)

    def call(self, inputs: Any, training: bool = False) -> Any:
        key = tf.constant([0], tf.int64)
        if training:
            self.steps[1].assign_add(1.0)
            self.named["a"].assign_add(0.5)
            self.table.insert(key, self.table.lookup(key) + 1.0)
            inputs = inputs + 0.1 * self.generator.normal(tf.shape(inputs))
        return inputs + 0.1 * (self.steps[1] + self.named["a"] + tf.reshape(self.table.lookup(key), ()))


class Hiding(keras.layers.Layer):
    """Has the same kinds of state in an object that Keras knows nothing of."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = types.SimpleNamespace(within=Remembering())
        self.hidden.within.named["b"] = None

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.hidden.within(inputs, training=training)


class Growing(keras.losses.Loss):
    """Weighs more with each step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(1.0, trainable=False)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        self.weight.assign(self.weight * 1.05)
        return self.weight * tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)


class Annealed(keras.regularizers.Regularizer):
    """Weighs less with each step."""

    def __init__(self) -> None:
        self.weight = tf.Variable(0.1, trainable=False)

    def __call__(self, x: Any) -> Any:
        self.weight.assign(self.weight * 0.9)
        return self.weight * tf.reduce_sum(tf.square(x))


class Counting(keras.optimizers.schedules.LearningRateSchedule):
    """Counts its steps by itself."""

    def __init__(self) -> None:
        self.steps = tf.Variable(0.0, trainable=False)

    def __call__(self, step: Any) -> Any:
        return 0.05 / (1.0 + self.steps.assign_add(1.0))


def hidden() -> keras.Model:
    """What remembers is not what Keras tracks."""
    dense = layers.Dense(4, kernel_regularizer=Annealed())
    return numbers(Hiding(), dense, loss=Growing(), optimizer=keras.optimizers.legacy.SGD(Counting()))


class Rivals(keras.Model):
    """Two optimizers, and an input of its own beside that of the fit."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = layers.Dense(4), layers.Dense(1)
        self.tracker = keras.metrics.Mean(name="loss")
        self.noise = iter(tf.data.Dataset.range(10_000).shuffle(100, seed=3))
        self.optimizers = (keras.optimizers.Adam(0.01), keras.optimizers.RMSprop(0.01))

    def call(self, inputs: Any) -> Any:
        return self.second(self.first(inputs))

    def train_step(self, data: Any) -> Any:
        x, y = data
        noise = tf.cast(next(self.noise), tf.float32) * 1e-3
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean(tf.square(y - self(x) + noise))
        for layer, optimizer in zip((self.first, self.second), self.optimizers, strict=True):
            weights = layer.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}


def rivals() -> keras.Model:
    """A training step of the model's own."""
    model = Rivals()
    model.compile(loss="mse")
    model(data()[0])
    return model


def search(build: Callable[[], keras.Model], x: Any = None, validation: Any = None) -> Any:
    def make(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
        where = {"directory": root, "project_name": "project"}
        tuner = kt.RandomSearch(lambda hp: build(), OBJECTIVE, max_trials=1, **where)
        inputs, checked = (data()[0], data(1)[0]) if x is None else (x, validation)
        fit = {"x": inputs, "y": data()[1], "validation_data": (checked, data(1)[1]), "batch_size": BATCH}
        return tuner, {**fit, "epochs": EPOCHS, "verbose": 0}

    return make


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(search(lambda: build_words(kt.HyperParameters()), words(), words(1)), id="words"),
        pytest.param(search(categories), id="categories"),
        pytest.param(search(lambda: scaled_loss(legacy=False)), id="scaled_loss"),
        pytest.param(search(lambda: scaled_loss(legacy=True)), id="scaled_loss_legacy"),
        pytest.param(search(averaged), id="averaged"),
        pytest.param(search(measured), id="measured"),
        pytest.param(search(lambda: numbers(Remembering())), id="remembering"),
        pytest.param(search(hidden), id="hidden"),
        pytest.param(search(rivals), id="rivals"),
    ],
)
def test_a_cut_off_training_goes_on_with_all_that_its_model_remembers(
    tmp_path: Path, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    whole = TrialRunner(tmp_path / "whole", make).run()
    cut = TrialRunner(tmp_path / "cut", make)
    cut.die(at=EPOCHS)
    end = cut.run()
    end.assert_same(whole)
    assert end.trained == 1
    assert not [record for record in caplog.records if record.name.startswith("custom_components")]


def test_a_variable_that_nobody_finds_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def enclosing() -> keras.Model:
        steps = tf.Variable(0.0, trainable=False, name="enclosed")
        return numbers(layers.Lambda(lambda x: x + 0.1 * steps.assign_add(1.0)))

    TrialRunner(tmp_path, search(enclosing)).run()
    (told,) = [message for message in caplog.messages if "enclosed" in message]
    assert told.startswith("the training uses variables that a lost worker takes with it: enclosed:0. ")
