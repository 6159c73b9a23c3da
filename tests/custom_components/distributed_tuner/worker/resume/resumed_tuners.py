"""Tuner functions with everything in them that has a state of its own: deterministic models and data."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import tensorflow as tf
from tfx.components.tuner.component import TunerFnResult

OBJECTIVE = kt.Objective("val_loss", "min")
ROWS, COLUMNS, BATCH = 96, 5, 32


def data(seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(x, y) of a noisy plane."""
    random = np.random.RandomState(seed)
    x = random.normal(size=(ROWS, COLUMNS)).astype("float32")
    return x, (x.sum(axis=1, keepdims=True) + random.normal(size=(ROWS, 1))).astype("float32")


def build(hp: kt.HyperParameters) -> tf.keras.Model:
    """Dropout, batch normalization and an optimizer with slots; the second width is known to this function only."""
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [layers.Dense(hp.Int("units", 4, 8, step=4), activation="relu", input_shape=(COLUMNS,))]
    )
    model.add(layers.BatchNormalization())
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(hp.Choice("width", [3, 5])))
    model.add(layers.GaussianNoise(0.05))
    model.add(layers.Dense(1))
    model.compile(tf.keras.optimizers.Adam(0.03), loss="mse", metrics=["mae"])
    return model


def build_small(hp: kt.HyperParameters) -> tf.keras.Model:
    """Little to trace, with dropout."""
    layers = tf.keras.layers
    first = layers.Dense(hp.Int("units", 4, 8, step=4), activation="relu", input_shape=(COLUMNS,))
    model = tf.keras.Sequential([first, layers.Dropout(0.3), layers.Dense(1)])
    model.compile("sgd", loss="mse")
    return model


def build_conditional(hp: kt.HyperParameters) -> tf.keras.Model:
    """A width that has a condition, which all values of the other hyperparameter meet."""
    model = build_small(hp)
    kinds = ["deep", "deeper"]
    hp.Choice("kind", kinds)
    with hp.conditional_scope("kind", kinds):
        model.add(tf.keras.layers.Dense(hp.Choice("deep_units", [3, 5])))
    model.add(tf.keras.layers.Dense(1))
    model.compile("sgd", loss="mse")
    return model


def words(seed: int = 0) -> np.ndarray[Any, Any]:
    """A sentence of two words for each row."""
    random = np.random.RandomState(seed)
    colours = np.array(["red", "green", "blue", "grey", "black"])
    return np.char.add(np.char.add(random.choice(colours, (ROWS, 1)), " "), random.choice(colours, (ROWS, 1)))


def build_words(hp: kt.HyperParameters) -> tf.keras.Model:
    """Vocabularies that are adapted as the model is built: they are among its weights, and no variables."""
    layers = tf.keras.layers
    known, counted = layers.StringLookup(), layers.StringLookup(output_mode="tf_idf")
    split = layers.TextVectorization(output_sequence_length=2)
    for layer in (known, counted, split):
        layer.adapt(words())
    given = tf.keras.Input((1,), dtype=tf.string)
    width = hp.Int("units", 4, 8, step=4)
    embedded = [layers.Embedding(layer.vocabulary_size(), width) for layer in (known, split)]
    parts = [embedded[0](known(given)), embedded[1](split(given))]
    flat = layers.Concatenate()([counted(given), *map(layers.Flatten(), parts)])
    model = tf.keras.Model(given, layers.Dense(1)(layers.Dropout(0.2)(flat)))
    model.compile("adam", loss="mse")
    return model


def callbacks() -> list[tf.keras.callbacks.Callback]:
    """Those that remember."""
    return [
        tf.keras.callbacks.EarlyStopping("val_loss", patience=4, restore_best_weights=True),
        tf.keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.7, min_delta=0.01),
    ]


class Slow(tf.keras.callbacks.Callback):
    """Makes an epoch long enough to be hit, and writes down that it was trained."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__()
        self._path = path
        self._seconds = seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        time.sleep(self._seconds)
        with self._path.open("a") as file:
            file.write(f"{os.getpid()} {epoch}\n")


class Hang(tf.keras.callbacks.Callback):
    """Comes to no end of its third epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            time.sleep(600)


def tuner(fn_args: Any) -> TunerFnResult:
    """RandomSearch with two executions over arrays, in one space or another, or Hyperband over a data set."""
    config = fn_args.custom_config
    where = {"directory": fn_args.working_dir, "project_name": "project", "seed": 3}
    made: kt.Tuner
    if config["algorithm"] == "hyperband":
        made = kt.Hyperband(build, OBJECTIVE, max_epochs=6, factor=3, **where)
    else:
        model = {"conditional": build_conditional, "words": build_words}.get(config["algorithm"], build)
        made = kt.RandomSearch(model, OBJECTIVE, max_trials=config["max_trials"], executions_per_trial=2, **where)
    (x, y), checked = data(), data(1)
    fit: dict[str, Any] = {"x": x, "y": y, "batch_size": BATCH}
    if config["algorithm"] == "hyperband":
        fit = {"x": tf.data.Dataset.from_tensor_slices((x, y)).shuffle(ROWS, seed=5).batch(BATCH)}
    slow = Slow(Path(fn_args.working_dir) / "epochs.log", config["seconds"])
    if config["algorithm"] == "words":
        fit["x"], checked = words(), (words(1), checked[1])
    fit |= {"validation_data": checked, "epochs": 6, "verbose": 0, "callbacks": [*callbacks(), slow]}
    if config.get("hang"):
        fit["callbacks"].append(Hang())
    return TunerFnResult(tuner=made, fit_kwargs=fit)


def untidy(fn_args: Any) -> TunerFnResult:
    """Models that leave their worker's process in a mess, each in its way, and share what draws random numbers."""
    config = fn_args.custom_config
    initializer, dropout = tf.keras.initializers.GlorotUniform(), tf.keras.layers.Dropout(0.3)
    noise = tf.random.Generator.from_seed(5)

    def build_untidy(hp: kt.HyperParameters) -> tf.keras.Model:
        mess = hp.Choice("mess", ["half", "none", "eager", "draws"])
        first = tf.keras.layers.Dense(
            hp.Choice("units", [3, 4]), kernel_initializer=initializer, input_shape=(COLUMNS,)
        )
        model = tf.keras.Sequential([first, dropout, tf.keras.layers.Dense(1, kernel_initializer=initializer)])
        model.layers[-1].bias.assign(noise.normal((1,)))
        model.compile("sgd", loss="mse")
        if mess == "half":
            tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
            os.chdir("/")
        elif mess == "eager":
            tf.config.run_functions_eagerly(True)
            np.seterr(all="raise")
        elif mess == "draws":
            noise.normal((7,))
        return model

    where = {"directory": fn_args.working_dir, "project_name": "project"}
    made = kt.GridSearch(build_untidy, OBJECTIVE, executions_per_trial=2, **where)
    x, y = data()
    slow = Slow(Path(fn_args.working_dir) / "epochs.log", config["seconds"])
    fit = {"x": x, "y": y, "batch_size": BATCH, "validation_data": data(1), "epochs": 2, "verbose": 0}
    return TunerFnResult(tuner=made, fit_kwargs={**fit, "callbacks": [slow]})
