"""The error of a SavedModel on a split, and the choice between several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Labels = npt.NDArray[np.float64]
BATCH = 1024  # Serialized examples per call of the model.


class SelectionError(ValueError):
    """No model can be chosen: no examples, no label, or no model with a finite error."""


def batches(files: Sequence[str], label_key: str) -> Iterator[tuple[list[bytes], Labels]]:
    """Yields (serialized examples, labels as float64 of the same length) from gzipped TFRecord files.

    Raises:
      SelectionError: an example has no label, or a label that is not a single number.
    """
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    for batch in records.batch(BATCH).as_numpy_iterator():
        yield list(batch), np.array([_label(record, label_key) for record in batch])


def _label(record: bytes, label_key: str) -> float:
    feature = tf.train.Example.FromString(record).features.feature[label_key]
    values = feature.float_list.value or feature.int64_list.value
    if len(values) != 1:
        raise SelectionError(f"An example holds {len(values)} numbers in its label '{label_key}'; it must hold one")
    return float(values[0])


def mean_absolute_error(model_dir: str, signature: str, examples: Iterable[tuple[list[bytes], Labels]]) -> float:
    """Mean of |prediction - label| over all examples, in the label's unit.

    Args:
      model_dir: a SavedModel.
      signature: its signature that takes serialized examples, shape [batch], with one output of one number each.
      examples: batches as `batches` yields them.

    Raises:
      SelectionError: no such signature, an output of another shape, or no examples.
    """
    model = tf.saved_model.load(model_dir)
    if signature not in model.signatures:
        raise SelectionError(f"{model_dir} has no signature '{signature}', only {sorted(model.signatures)}")
    predict = model.signatures[signature]
    (argument,) = predict.structured_input_signature[1]
    total, count = 0.0, 0
    for serialized, labels in examples:
        outputs = predict(**{argument: tf.constant(serialized)})
        predictions = next(iter(outputs.values())).numpy().reshape(-1)
        if len(outputs) != 1 or predictions.size != labels.size:
            shapes = {name: tuple(tensor.shape) for name, tensor in outputs.items()}
            raise SelectionError(
                f"Signature '{signature}' gave {shapes} for {labels.size} examples: want one number each"
            )
        total += float(np.abs(predictions - labels).sum())
        count += labels.size
    if not count:
        raise SelectionError("The split on which models are compared has no examples")
    return total / count


def best(scores: Mapping[int, float]) -> int:
    """The candidate with the smallest finite score; the first of equal ones.

    Raises:
      SelectionError: no score is finite.
    """
    finite = {candidate: score for candidate, score in scores.items() if math.isfinite(score)}
    if not finite:
        raise SelectionError(f"No candidate has a finite error, so none can be chosen: {dict(scores)}")
    return min(finite, key=lambda candidate: (finite[candidate], candidate))
