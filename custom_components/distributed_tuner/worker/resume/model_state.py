"""A model in the middle of its training as a TensorFlow checkpoint."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from custom_components.distributed_tuner.worker.resume import untracked


class ModelState:
    """Weights, optimizer, step counter, random generators and metrics of one compiled model.

    Keras leaves the generators of dropout and similar layers and the states of stateful recurrent layers out of
    checkpoints; they are added here, and so is what `untracked` finds. A model that is built by its first batch has
    none of them yet when it is restored: weights and optimizer are restored as they are created, generators are not.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._writer: tf.train.Checkpoint | None = None

    def signature(self) -> list[Any] | None:
        """What a stored state must match: optimizer, dtype and shape of each weight. None before the model is built."""
        if not self._model.built:
            return None
        return [type(self._model.optimizer).__name__, list(map(_kind, self._model.weights))]

    def strangers(self) -> list[str]:
        """The names of variables that training uses and `write` did not find. Called after `write`."""
        return [] if self._writer is None else untracked.strangers(self._writer, self._model)

    def write(self, prefix: str) -> None:
        """Writes the checkpoint `prefix`. Called at the end of an epoch, when all variables exist.

        Raises:
          OSError, tf.errors.OpError: it cannot be written.
        """
        if self._writer is None:
            self._writer, _ = self._checkpoint()
        self._writer.write(prefix)

    def restore(self, prefix: str) -> None:
        """Restores what `write` wrote. Variables that do not exist yet get their values when they are made."""
        with self._model.distribute_strategy.scope():
            checkpoint, metrics = self._checkpoint()
            checkpoint.read(prefix).expect_partial()
            # The next epoch would reset only the metrics known by then; before the first batch there are none.
            for metric in metrics:
                metric.reset_state()

    def _checkpoint(self) -> tuple[tf.train.Checkpoint, list[keras.metrics.Metric]]:
        checkpoint = tf.train.Checkpoint(
            model=self._model,
            train_counter=self._model._train_counter,
            generators=_generators(self._model),
            recurrent=_recurrent_states(self._model),
        )
        found = untracked.find(checkpoint, self._model)
        checkpoint.untracked = found.state
        return checkpoint, found.metrics


def check_readable(prefix: str) -> None:
    """Reads a whole checkpoint, which holds a checksum of each of its tensors.

    A restore that stops half-way would leave a model that is neither fresh nor restored.

    Raises:
      ValueError: the checkpoint is missing or damaged.
    """
    try:
        for name, dtype in tf.train.load_checkpoint(prefix).get_variable_to_dtype_map().items():
            # Not with the reader itself, which cannot read variants, such as the state of a data set's iterator.
            tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=[name], shape_and_slices=[""], dtypes=[dtype])
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise ValueError(f"the checkpoint {prefix} is unreadable: {error}") from error


def _kind(weight: Any) -> list[Any]:
    """A weight's dtype and shape. A vocabulary is no variable: its length shows in the shapes of later weights."""
    if not isinstance(weight, tf.Variable):
        return [type(weight).__name__, []]
    return [str(tf.as_dtype(weight.dtype).name), list(weight.shape)]


def _generators(model: keras.Model) -> list[tf.random.Generator]:
    wrappers = (getattr(layer, "_random_generator", None) for layer in model._flatten_layers())
    generators = (getattr(wrapper, "_generator", None) for wrapper in wrappers)
    return [generator for generator in generators if generator is not None]


def _recurrent_states(model: keras.Model) -> list[tf.Variable]:
    layers = [layer for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
    states = tf.nest.flatten([getattr(layer, "states", None) for layer in layers])
    return [state for state in states if isinstance(state, tf.Variable)]
