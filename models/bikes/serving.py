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
    """What is saved: a TensorFlow module, which needs neither Keras nor this package to be loaded.

    Only variables and tables become its attributes. A Keras model would be saved layer by layer, which takes several
    times longer and makes TFMA look for Keras's own files.
    """

    def __init__(self, model: keras.Model, transform: tft.TFTransformOutput) -> None:
        """Puts `model` behind the graph of `transform`."""
        super().__init__()
        self.weights = model.variables
        self.transform = tf.saved_model.load(transform.transform_savedmodel_dir)
        spec = transform.raw_feature_spec()
        # The graph wants each column of the schema; a prediction depends on the inputs only.
        unread = {name: kind.dtype for name, kind in spec.items() if name not in features.MODEL_INPUTS}
        read = {name: spec[name] for name in features.MODEL_INPUTS}

        def predict(raw: dict[str, tf.SparseTensor], trips: tf.Tensor) -> dict[str, tf.Tensor]:
            transformed = self.transform.transform_fn(
                raw | {name: _absent(kind, trips) for name, kind in unread.items()}
            )
            inputs = {name: transformed[name] for name in (features.DENSE, features.CATEGORIES)}
            return {OUTPUT: tf.reshape(model(inputs, training=False), [-1])}

        columns = {
            name: tf.TensorSpec([None], tf.string if name in _TEXT_INPUTS else tf.float32, name=name)
            for name in features.MODEL_INPUTS
        }

        @tf.function(input_signature=[columns])
        def predict_raw(trips: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            raw = {name: _present(name, values) for name, values in trips.items()}
            return predict(raw, tf.size(trips[features.LOC_CROSS], tf.int64))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def predict_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return predict(tf.io.parse_example(examples, read), tf.size(examples, tf.int64))

        self.predict_raw = predict_raw
        self.predict_examples = predict_examples

    def signatures(self) -> dict[str, tf.types.experimental.GenericFunction]:
        """Both signatures by name."""
        return {RAW_SIGNATURE: self.predict_raw, EXAMPLES_SIGNATURE: self.predict_examples}


def _absent(kind: tf.DType, trips: tf.Tensor) -> tf.SparseTensor:
    """A column without a value in any of so many trips."""
    return tf.SparseTensor(tf.zeros([0, 2], tf.int64), tf.zeros([0], kind), tf.stack([trips, 0]))


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
