"""How the bikes model is fitted: transformed trips in memory, and one training routine for pipeline and benchmark."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from models.bikes import features

OBJECTIVE: Final = "val_mae"
"""Mean absolute error on the eval split, in seconds."""

PATIENCE: Final = 8
"""Epochs in a row that are worse than the best by more than chance before a full training ends."""

STEPS_PER_CALL: Final = 16
"""Batches handled in one call into the graph: with small models Python would take longer than the arithmetic."""

_PARSED_AT_ONCE = 8_192
_LAST_RATE = 0.02


@dataclasses.dataclass(frozen=True)
class Trips:
    """A split: `inputs` as `preprocessing_fn` returns them without the label, `durations` in seconds, [rows, 1]."""

    inputs: dict[str, tf.Tensor]
    durations: tf.Tensor

    def __len__(self) -> int:
        """The number of trips."""
        return int(self.durations.shape[0])

    def typical_duration(self) -> float:
        """The median duration in seconds."""
        ordered = tf.sort(tf.reshape(self.durations, [-1]))
        return float(ordered[len(self) // 2])


def feature_spec() -> dict[str, tf.io.FixedLenFeature]:
    """What Transform writes for each trip, as `tf.io.parse_example` wants it."""
    return {
        features.LABEL_KEY: tf.io.FixedLenFeature([1], tf.float32),
        features.DENSE: tf.io.FixedLenFeature([len(features.DENSE_COMPONENTS)], tf.float32),
        features.CATEGORIES: tf.io.FixedLenFeature([len(features.CATEGORY_SIZES)], tf.int64),
    }


def load(patterns: Sequence[str]) -> Trips:
    """Reads transformed trips into memory, about 150 bytes each, so that no epoch parses them again.

    Args:
      patterns: file patterns of TFRecords that Transform wrote; a name that ends in .gz is decompressed.

    Raises:
      ValueError: no file fits, or the files hold no trip.
    """
    files = sorted(name for pattern in patterns for name in tf.io.gfile.glob(pattern))
    compression = "GZIP" if files and files[0].endswith(".gz") else ""
    records = tf.data.TFRecordDataset(files, compression_type=compression, buffer_size=1 << 20)
    spec = feature_spec()
    parsed = list(records.batch(_PARSED_AT_ONCE).map(lambda batch: tf.io.parse_example(batch, spec)))
    if not parsed:
        raise ValueError(
            f"no transformed trips in {', '.join(patterns)} ({len(files)} files): the split is empty; "
            "give more rows, or check the pipeline's split configuration"
        )
    columns = {name: tf.concat([batch[name] for batch in parsed], axis=0) for name in spec}
    durations = columns.pop(features.LABEL_KEY)
    return Trips(columns, durations)


def fit_arguments(train: Trips, validation: Trips, batch_size: int) -> dict[str, Any]:
    """The data arguments of `keras.Model.fit`, the same for a trial of a search and for a full training."""
    return {
        "x": train.inputs,
        "y": train.durations,
        "batch_size": batch_size,
        "validation_data": (validation.inputs, validation.durations),
        "validation_batch_size": max(batch_size, 1_024),
        "shuffle": True,
    }


class CosineDecay(keras.callbacks.Callback):
    """Lets the learning rate fall along half a cosine wave, from the model's initial rate to a fiftieth of it.

    Loshchilov and Hutter 2017, "SGDR", without restarts. The rate depends on the epoch's number alone, so that a trial
    that goes on from a later epoch, in another process, goes on with the right one.
    """

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Sets the rate for this epoch."""
        done = epoch / max(1, self.params["epochs"])
        share = _LAST_RATE + (1.0 - _LAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * done))
        keras.backend.set_value(self.model.optimizer.learning_rate, self.model.initial_learning_rate * share)


class EarlyStopping(keras.callbacks.Callback):
    """Ends a training once the eval error has risen for good, and keeps the weights of the latest good epoch.

    An epoch is good if its eval error is within `tolerance` of the best so far. Keras's own early stopping keeps the
    one best epoch; on an eval split of a few hundred trips with a long tail that is the luckiest one, mostly an early
    one, and the calmer weights of the falling learning rate go to waste. Compare the one-standard-error rule of
    Breiman et al. 1984, "Classification and Regression Trees", which also prefers what its data cannot tell from the
    best.
    """

    def __init__(self, tolerance: float, patience: int = PATIENCE) -> None:
        """`tolerance` is relative to the best error; `patience` is the number of epochs in a row that are not good."""
        super().__init__()
        self.kept_epoch = -1
        self._tolerance = tolerance
        self._patience = patience
        self._best = math.inf
        self._weights: list[npt.NDArray[np.float32]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keeps the weights, or counts a bad epoch."""
        error = (logs or {})[OBJECTIVE]
        self._best = min(self._best, error)
        if error <= self._best * (1.0 + self._tolerance):
            self.kept_epoch, self._weights = epoch, self.model.get_weights()
        elif epoch - self.kept_epoch >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Puts the kept weights back."""
        if self._weights:
            self.model.set_weights(self._weights)


def tolerance(rows: int) -> float:
    """By how much of itself a mean absolute error over so many trips can differ by chance, roughly.

    The standard error of a mean over `rows` values that scatter about half as much as they measure, which is what
    differences between epochs of one training do on real trips: 3 % for 230 trips, 0.2 % for 100,000.
    """
    return 0.5 / math.sqrt(rows)


def fit(
    model: keras.Model,
    train: Trips,
    validation: Trips,
    *,
    epochs: int,
    batch_size: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """A full training along `CosineDecay` with `EarlyStopping` by the eval split."""
    stopping = EarlyStopping(tolerance(len(validation)))
    return model.fit(
        **fit_arguments(train, validation, batch_size),
        epochs=epochs,
        callbacks=[CosineDecay(), stopping, *callbacks],
        verbose=2,
    )
