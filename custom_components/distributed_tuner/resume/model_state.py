"""A model in the middle of its training as a TensorFlow checkpoint."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras


class ModelState:
    """Weights, optimizer, step counter and random generators of one compiled model.

    Keras keeps the generators of dropout and its like and the states of stateful recurrent layers out of checkpoints;
    they are added here. A model that builds
    itself with its first batch has none of them yet when it is restored: its weights and optimizer are restored as
    they come into being, its generators are not.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._writer: tf.train.Checkpoint | None = None

    def signature(self) -> list[Any] | None:
        """What a stored state must fit: optimizer, dtype and shape of each weight. None before the model is built."""
        if not self._model.built:
            return None
        weights = [[str(tf.as_dtype(weight.dtype).name), list(weight.shape)] for weight in self._model.weights]
        return [type(self._model.optimizer).__name__, weights]

    def write(self, prefix: str) -> None:
        """Writes the checkpoint `prefix`. Called at the end of an epoch, when all variables exist.

        Raises:
          OSError, tf.errors.OpError: it cannot be written.
        """
        if self._writer is None:
            self._writer = self._checkpoint()
        self._writer.write(prefix)

    def restore(self, prefix: str) -> None:
        """Restores what `write` wrote. Variables that do not exist yet get their values when they are made."""
        with self._model.distribute_strategy.scope():
            self._checkpoint().read(prefix).expect_partial()

    def _checkpoint(self) -> tf.train.Checkpoint:
        return tf.train.Checkpoint(
            model=self._model,
            train_counter=self._model._train_counter,
            generators=_generators(self._model),
            recurrent=_recurrent_states(self._model),
        )


def check_readable(prefix: str) -> None:
    """Reads a whole checkpoint, which holds a checksum of each of its tensors.

    A restore that stops half-way would leave a model that is neither fresh nor restored.

    Raises:
      ValueError: the checkpoint is missing or damaged.
    """
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise ValueError(f"the checkpoint {prefix} is unreadable: {error}") from error


def _generators(model: keras.Model) -> list[tf.random.Generator]:
    wrappers = (getattr(layer, "_random_generator", None) for layer in model._flatten_layers())
    generators = (getattr(wrapper, "_generator", None) for wrapper in wrappers)
    return [generator for generator in generators if generator is not None]


def _recurrent_states(model: keras.Model) -> list[tf.Variable]:
    layers = [layer for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
    states = tf.nest.flatten([getattr(layer, "states", None) for layer in layers])
    return [state for state in states if isinstance(state, tf.Variable)]
