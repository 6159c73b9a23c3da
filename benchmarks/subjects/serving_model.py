"""The model that the benchmark of the model server asks: two small layers, so that the way to them takes the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

FEATURES = 8
INPUT = "x"


def save(directory: Path) -> None:
    """Saves it as a SavedModel whose default signature has one input of `FEATURES` numbers a row."""
    generator = np.random.default_rng(7)

    class Layers(tf.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.first = tf.Variable(generator.normal(size=(FEATURES, 32)), dtype=tf.float32)
            self.second = tf.Variable(generator.normal(size=(32, 1)), dtype=tf.float32)

        @tf.function(input_signature=(tf.TensorSpec([None, FEATURES], tf.float32, INPUT),))
        def predict(self, x: Any) -> dict[str, Any]:
            return {"y": tf.matmul(tf.nn.relu(tf.matmul(x, self.first)), self.second)}

    layers = Layers()
    tf.saved_model.save(layers, str(directory), signatures={"serving_default": layers.predict})


def row() -> list[float]:
    """The one row that all requests ask for."""
    return [index / 4 for index in range(FEATURES)]


def bare_call(directory: Path) -> Callable[[], Any]:
    """What calls the saved model in this process, from a row of Python's numbers to NumPy's answer."""
    loaded = tf.saved_model.load(str(directory))
    signature = loaded.signatures["serving_default"]
    values = row()

    def call(keep: Any = loaded) -> Any:  # the signature lives only as long as what it was loaded with
        return signature(**{INPUT: tf.constant([values])})["y"].numpy()

    return call
