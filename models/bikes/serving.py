"""The exported model: the network with Transform's graph in front of it, behind two signatures."""

from __future__ import annotations

from typing import Final

import keras
import tensorflow as tf
import tensorflow_transform as tft

from models.bikes import features

RAW_SIGNATURE: Final = "serving_default"
"""Takes each of `features.MODEL_INPUTS` by name, shape [trips]: text for categories, float32 for numbers."""

EXAMPLES_SIGNATURE: Final = "serving_examples"
"""Takes `examples`, serialized tf.Examples of shape [trips], as ExampleGen writes them; the label may be absent."""

OUTPUT: Final = "duration_seconds"
"""The one output of both: the predicted duration in seconds, float32 of shape [trips]."""

_TEXT_INPUTS = (*features.INTEGER_INPUTS, features.LOC_CROSS)


class ServedModel(tf.Module):
    """What is saved: a TensorFlow module, which needs neither Keras nor this package to be loaded."""

    def __init__(self, model: keras.Model, transform: tft.TFTransformOutput) -> None:
        """Puts `model` behind the Transform graph of `transform`."""
        super().__init__()
        self._model = model
        self._transform = transform.transform_features_layer()
        spec = transform.raw_feature_spec()
        self._spec = {name: spec[name] for name in features.MODEL_INPUTS}

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Both signatures by name."""
        raw = {
            name: tf.TensorSpec([None], tf.string if name in _TEXT_INPUTS else tf.float32, name=name)
            for name in features.MODEL_INPUTS
        }
        examples = tf.TensorSpec([None], tf.string, name="examples")
        return {
            RAW_SIGNATURE: tf.function(self.predict_raw).get_concrete_function(raw),
            EXAMPLES_SIGNATURE: tf.function(self.predict_examples).get_concrete_function(examples),
        }

    def predict_raw(self, trips: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Predictions for columns of values."""
        return self._predict({name: _present(name, trips[name]) for name in features.MODEL_INPUTS})

    def predict_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predictions for serialized tf.Examples."""
        return self._predict(tf.io.parse_example(examples, self._spec))

    def _predict(self, raw: dict[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
        transformed = self._transform(raw)
        inputs = {name: transformed[name] for name in (features.DENSE, features.CATEGORIES)}
        return {OUTPUT: tf.reshape(self._model(inputs, training=False), [-1])}


def _present(name: str, values: tf.Tensor) -> tf.SparseTensor:
    """A column as parsed from tf.Examples: without what is empty, not finite or, among integers, no integer."""
    if name in features.INTEGER_INPUTS:
        stripped = tf.strings.strip(values)
        there = tf.strings.regex_full_match(stripped, r"-?\d{1,18}")
        values = tf.strings.to_number(tf.where(there, stripped, "0"), tf.int64)
    elif name in _TEXT_INPUTS:
        there = tf.not_equal(values, "")
    else:
        there = tf.math.is_finite(values)
    rows = tf.where(there)
    shape = tf.stack([tf.size(there, out_type=tf.int64), 1])
    return tf.SparseTensor(tf.pad(rows, [[0, 0], [0, 1]]), tf.boolean_mask(values, there), shape)


def export(model: keras.Model, transform: tft.TFTransformOutput, path: str) -> None:
    """Saves the model with its signatures as a SavedModel in the folder `path`."""
    served = ServedModel(model, transform)
    tf.saved_model.save(served, path, signatures=served.signatures())
