"""The commonest ways in which a Keras trial fails, each made to happen, and what a person wants to read of it.

Each name stands for a function that raises. `CAUSES` says, by the same name, what its cause in one line holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from exceptiongroup import ExceptionGroup

layers = tf.keras.layers
Failure = Callable[[Path], None]

FAILURES: dict[str, Failure] = {}
CAUSES: dict[str, str] = {}
ROWS = np.zeros((8, 4), "float32"), np.zeros((8, 1), "float32")


def _causes(words: str) -> Callable[[Failure], Failure]:
    def note(failure: Failure) -> Failure:
        FAILURES[failure.__name__], CAUSES[failure.__name__] = failure, words
        return failure

    return note


def _model(*parts: Any, **compiled: Any) -> tf.keras.Model:
    model = tf.keras.Sequential([tf.keras.Input((4,)), *parts])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return model


def _fit(model: tf.keras.Model, x: Any = ROWS[0], y: Any = ROWS[1]) -> None:
    model.fit(x, y, verbose=0)


def _train(call: Callable[[Any, Any], Any], x: Any = ROWS[0]) -> None:
    """Trains a model of one's own class, whose `call` this is."""

    class Own(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(tf.zeros((3, 1)))

        def call(self, inputs: Any) -> Any:
            return call(self, inputs)

    model = Own()
    model.compile("sgd", "mse")
    _fit(model, x)


def _feed(rows: Any) -> None:
    """Trains on a data set that breaks."""
    _model(layers.Dense(1)).fit(rows, verbose=0)


def _numbers(read: Callable[[Any], Any]) -> Any:
    """A data set whose rows go through `read`."""

    def row(number: Any) -> Any:
        return tf.reshape(tf.cast(read(number), tf.float32), (1, 1)) + tf.zeros((1, 4)), tf.zeros((1, 1))

    return tf.data.Dataset.range(4).map(row)


@_causes("InvalidArgumentError: Received a label value of 7 which is outside the valid range of [0, 3)")
def label_out_of_range(where: Path) -> None:
    model = _model(layers.Dense(3, activation="softmax"), loss="sparse_categorical_crossentropy")
    _fit(model, y=np.full((8,), 7))


@_causes("InvalidArgumentError: Received a label value of 7 which is outside the valid range of [0, 3)")
def label_out_of_range_eagerly(where: Path) -> None:
    loss = "sparse_categorical_crossentropy"
    _fit(_model(layers.Dense(3, activation="softmax"), loss=loss, run_eagerly=True), y=np.full((8,), 7))


@_causes('ValueError: Input 0 of layer "sequential')
def columns_of_another_number(where: Path) -> None:
    _fit(_model(layers.Dense(1)), x=np.zeros((8, 5)))


@_causes("ValueError: Dimensions must be equal, but are 4 and 3 for 'own/MatMul' with input shapes: [?,4], [3,1].")
def matrices_that_do_not_match(where: Path) -> None:
    _train(lambda self, x: tf.matmul(x, self.kernel))


@_causes("InvalidArgumentError: Matrix size-incompatible: In[0]: [8,4], In[1]: [3,1]")
def matrices_whose_size_is_known_late(where: Path) -> None:
    unknown = tf.TensorSpec((None, None), tf.float32)
    tf.function(tf.matmul, input_signature=[unknown, unknown])(tf.zeros((8, 4)), tf.zeros((3, 1)))


@_causes("ValueError: A `Concatenate` layer requires inputs with matching shapes")
def concatenated_shapes(where: Path) -> None:
    layers.Concatenate(axis=-1)([tf.keras.Input((2, 2)), tf.keras.Input((4, 1))])


@_causes("ValueError: Inputs have incompatible shapes. Received shapes (3,) and (4,)")
def added_shapes(where: Path) -> None:
    layers.Add()([tf.keras.Input((3,)), tf.keras.Input((4,))])


@_causes("ValueError: Dimensions must be equal, but are 4 and 3 for ")
def added_shapes_in_a_layer(where: Path) -> None:
    _model(layers.Lambda(lambda x: x + tf.zeros((3,))))


@_causes("ValueError: Shapes (None, 5) and (None, 3) are incompatible")
def classes_of_another_number(where: Path) -> None:
    _fit(_model(layers.Dense(3), loss="categorical_crossentropy"), y=np.zeros((8, 5)))


@_causes("ValueError: Data cardinality is ambiguous: x sizes: 8, y sizes: 7")
def rows_of_another_number(where: Path) -> None:
    _fit(_model(layers.Dense(1)), y=np.zeros((7, 1)))


@_causes("ValueError: Negative dimension size caused by subtracting 5 from 4 for 'conv2d")
def convolution_of_too_little(where: Path) -> None:
    tf.keras.Sequential([tf.keras.Input((4, 4, 1)), layers.Conv2D(2, 5)])


@_causes("ValueError: total size of new array must be unchanged, input_shape = [4], output_shape = [3]")
def bad_reshape(where: Path) -> None:
    _model(layers.Reshape((3,)))


@_causes(
    "InvalidArgumentError: Input to reshape is a tensor with 32 values, but the requested shape requires a multiple"
)
def bad_reshape_in_a_call(where: Path) -> None:
    _train(lambda self, x: self.kernel[0] * tf.reshape(x, (7, -1)))


@_causes("InvalidArgumentError: indices[0,0] = 12 is not in [0, 10)")
def embedding_of_an_unknown_word(where: Path) -> None:
    _fit(_model(layers.Embedding(10, 2), layers.Flatten(), layers.Dense(1)), x=np.full((8, 4), 12))


@_causes("InvalidArgumentError: the logarithm : Tensor had NaN values")
def not_a_number(where: Path) -> None:
    _fit(_model(layers.Lambda(lambda x: tf.debugging.check_numerics(tf.math.log(x - 1.0), "the logarithm"))))


@_causes("InvalidArgumentError: assertion failed: [the input is to be negative]")
def assertion_in_the_graph(where: Path) -> None:
    def negative(x: Any) -> Any:
        tf.debugging.assert_less(x, 0.0, message="the input is to be negative")
        return x

    _fit(_model(layers.Lambda(negative)))


@_causes("UnimplementedError: Cast string to float is not supported")
def text_for_numbers(where: Path) -> None:
    _fit(_model(layers.Dense(1)), x=np.array([["a"] * 4] * 8))


@_causes("TypeError: Input 'y' of 'AddV2' Op has type int32 that does not match type float32 of argument 'x'.")
def another_dtype(where: Path) -> None:
    _train(lambda self, x: x + tf.constant(1, tf.int32))


@_causes("NameError: name 'factor' is not defined")
def undefined_name(where: Path) -> None:
    _train(tf.function(lambda self, x: x * factor))  # type: ignore[name-defined]  # noqa: F821


@_causes("AttributeError: 'Own' object has no attribute 'dense'")
def undefined_attribute(where: Path) -> None:
    _train(lambda self, x: self.dense(x))


@_causes("OperatorNotAllowedInGraphError: Iterating over a symbolic `tf.Tensor` is not allowed.")
def python_loop_over_a_tensor(where: Path) -> None:
    _train(lambda self, x: tf.stack([row + 1.0 for row in x]))


@_causes("ValueError: Unknown loss function: 'mean_square'.")
def unknown_loss(where: Path) -> None:
    _fit(_model(layers.Dense(1), loss="mean_square"))


@_causes("ValueError: Unknown optimizer: 'adams'.")
def unknown_optimizer(where: Path) -> None:
    _model(layers.Dense(1), optimizer="adams")


@_causes("TypeError: 'str' object is not callable")
def unknown_metric(where: Path) -> None:
    _fit(_model(layers.Dense(1), metrics=["acuracy"]))


@_causes("ValueError: Missing data for input \"wind\". You passed a data dictionary with keys ['temperature'].")
def missing_input(where: Path) -> None:
    inputs = {name: tf.keras.Input((1,), name=name) for name in ("temperature", "wind")}
    model = tf.keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(list(inputs.values()))))
    model.compile("sgd", "mse")
    _fit(model, x={"temperature": np.zeros((8, 1))})


@_causes("KeyError: 'wind'")
def missing_input_in_a_call(where: Path) -> None:
    _train(lambda self, x: x["wind"], x={"temperature": np.zeros((8, 1))})


@_causes("NotFoundError: {where}/trips.csv; No such file or directory")
def missing_file(where: Path) -> None:
    _feed(tf.data.TextLineDataset(str(where / "trips.csv")).map(lambda line: (tf.zeros((1, 4)), tf.zeros((1, 1)))))


@_causes("NotFoundError: {where}/image.png; No such file or directory")
def missing_file_in_a_map(where: Path) -> None:
    _feed(_numbers(lambda number: tf.strings.length(tf.io.read_file(str(where / "image.png")))))


@_causes("ValueError: row 0 has no temperature")
def python_in_a_map(where: Path) -> None:
    def read(number: Any) -> None:
        raise ValueError(f"row {number} has no temperature")

    _feed(_numbers(lambda number: tf.py_function(read, [number], tf.float32)))


@_causes("RuntimeError: the database has closed the connection")
def generator_that_raises(where: Path) -> None:
    def rows() -> Iterator[Any]:
        yield ROWS
        raise RuntimeError("the database has closed the connection")

    signature = tuple(tf.TensorSpec(part.shape) for part in ROWS)
    _feed(tf.data.Dataset.from_generator(rows, output_signature=signature))


@_causes("TypeError: `generator` yielded an element of shape (8, 3) where an element of shape (8, 4) was expected.")
def generator_of_another_shape(where: Path) -> None:
    signature = tuple(tf.TensorSpec(part.shape) for part in ROWS)
    _feed(
        tf.data.Dataset.from_generator(lambda: itertools.repeat((ROWS[0][:, :3], ROWS[1])), output_signature=signature)
    )


@_causes("OutOfRangeError: End of sequence")
def data_that_ran_out(where: Path) -> None:
    rows = iter(tf.data.Dataset.range(0))
    rows.get_next()


@_causes("ResourceExhaustedError: OOM when allocating tensor with shape[80000000,10000000]")
def too_large_a_tensor(where: Path) -> None:
    _train(lambda self, x: self.kernel[0] * tf.reduce_sum(tf.zeros((tf.shape(x)[0] * 10**7, 10**7))))


@_causes("RuntimeError: no such column")
def while_another_was_handled(where: Path) -> None:
    try:
        dict[str, str]()["wind"]
    except KeyError:
        raise RuntimeError("no such column")  # noqa: B904


@_causes("RuntimeError: no trips (caused by FileNotFoundError: [Errno 2] No such file or directory: '{where}/x')")
def raised_from_another(where: Path) -> None:
    try:
        try:
            (where / "x").read_text()
        except OSError as error:
            raise ValueError("no file") from error
    except ValueError as error:
        raise RuntimeError("no trips") from error


@_causes("ValueError: cannot read: 'wind'")
def raised_from_another_that_it_quotes(where: Path) -> None:
    try:
        dict[str, str]()["wind"]
    except KeyError as error:
        raise ValueError(f"cannot read: {error}") from error


@_causes("ExceptionGroup: two readers (2 sub-exceptions): OSError: the first one")
def several_at_once(where: Path) -> None:
    raise ExceptionGroup("two readers", [ExceptionGroup("inner", [_caught(OSError("the first one"))]), KeyError("x")])


@_causes("SyntaxError: '(' was never closed (module.py, line 2)")
def syntax_error(where: Path) -> None:
    module = where / "module.py"
    module.write_text("layers = 3\nx = (1\ny = 2\n")
    compile(module.read_text(), str(module), "exec")


@_causes("KeyError: 'wind'")
def missing_key(where: Path) -> None:
    dict[str, str]()["wind"]


@_causes("AssertionError at common_failures.py, line ")
def assertion_without_words(where: Path) -> None:
    assert not where.name


@_causes(": raise ValueError")
def without_words(where: Path) -> None:
    raise ValueError


@_causes("ValueError at common_failures.py, line ")
def of_blanks(where: Path) -> None:
    raise ValueError("  \n ")


@_causes("ValueError: the table does not fit: temperature: 3, wind: 4")
def of_several_lines(where: Path) -> None:
    raise ValueError("the table does not fit:\n  temperature: 3\n  wind: 4\nSee its description")


@_causes("ValueError: the table does not fit")
def whose_first_line_is_empty(where: Path) -> None:
    raise ValueError("\nthe table does not fit\nSee its description")


def _caught(error: Exception) -> Exception:
    """The error with a traceback of its own."""
    try:
        raise error
    except Exception as raised:
        return raised
