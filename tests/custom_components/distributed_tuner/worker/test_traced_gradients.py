"""Custom gradients are as good as ever, and graphs that nobody needs are let go of."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import func_graph, ops

from custom_components.distributed_tuner.worker import traced_gradients


def graphs() -> list[Any]:
    """The traced graphs that are there, as weak references: whoever asks must not keep them."""
    gc.collect()
    return [weakref.ref(found) for found in gc.get_objects() if isinstance(found, func_graph.FuncGraph)]


def train() -> None:
    tf.keras.backend.clear_session()
    model = tf.keras.Sequential(
        [tf.keras.layers.Input((4,)), tf.keras.layers.Dense(3, "swish"), tf.keras.layers.Dense(1)]
    )
    model.compile("adam", loss="mse")
    model.fit(np.zeros((8, 4)), np.zeros((8, 1)), verbose=0)


def held_after(models: int) -> tuple[int, int]:
    """How many graphs and gradients are there more after so many models than after the first."""
    train()
    before, registered = len(graphs()), len(ops.gradient_registry.list())
    for _ in range(models):
        train()
    return len(graphs()) - before, len(ops.gradient_registry.list()) - registered


def test_a_model_that_was_trained_leaves_no_graph() -> None:
    # What TensorFlow does by itself: with another release this may be of no use any more.
    graphs_held, gradients_held = held_after(2)
    assert graphs_held >= 2 and gradients_held >= 2
    with traced_gradients.kept_by_their_graphs():
        assert held_after(3) == (0, 0)


@tf.custom_gradient
def doubled(x: Any) -> Any:
    """x, whose gradient is said to be 2 x."""
    return x, lambda upstream: upstream * 2.0 * x


def test_a_gradient_is_there_as_long_as_a_function_that_was_traced_with_it() -> None:
    with traced_gradients.kept_by_their_graphs():
        inner = tf.function(lambda x: doubled(x) * 3.0)
        x = tf.constant(5.0)
        assert float(inner(x)) == 15.0
        tf.keras.backend.clear_session()
        gc.collect()

        # Asked for only now, by an outer function too, in a loop, and for the second time.
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = inner(x)
        assert float(tape.gradient(y, x)) == 30.0

        @tf.function
        def outer(x: Any) -> Any:
            total = tf.constant(0.0)
            for _ in tf.range(2):
                total += inner(x)
            return tf.gradients(total, x)[0]

        assert float(outer(x)) == 60.0
        with tf.GradientTape() as second:
            second.watch(x)
            with tf.GradientTape() as first:
                first.watch(x)
                y = inner(x)
            slope = first.gradient(y, x)
        assert float(second.gradient(slope, x)) == 6.0


def test_without_its_graph_a_gradient_is_refused_by_name() -> None:
    with traced_gradients.kept_by_their_graphs():
        names = set(ops.gradient_registry.list())
        traced: Any = tf.function(doubled).get_concrete_function(tf.TensorSpec([], tf.float32))
        (name,) = set(ops.gradient_registry.list()) - names
        gradient = ops.gradient_registry.lookup(name)
        (op,) = [op for op in traced.graph.get_operations() if op.type == "IdentityN"]
        told = op.name
        del traced, op
        gc.collect()
        assert name not in ops.gradient_registry.list()

    class Copied:
        name = told

    with pytest.raises(LookupError, match=f"the graph that has the gradient {name} is gone.*{told}"):
        gradient(Copied(), tf.constant(1.0))
