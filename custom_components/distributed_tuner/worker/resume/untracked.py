"""State that a model uses in training but that a TensorFlow checkpoint of it leaves out.

A checkpoint follows what Keras and TensorFlow track: layers, their weights, the optimizer. It does not see metrics, nor
the state of a loss, a regularizer, a learning rate schedule or an object of the user's own. These are found here by
following the attributes themselves.

Written against TensorFlow and Keras 2.15.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from keras.src.engine import keras_tensor, node
from keras.src.mixed_precision import autocast_variable
from tensorflow import keras
from tensorflow.python.distribute import distribute_lib
from tensorflow.python.ops import lookup_ops

_STATE = (tf.Variable, tf.random.Generator, lookup_ops.MutableHashTable, lookup_ops.DenseHashTable)
_OPTIMIZERS = (keras.optimizers.Optimizer, keras.optimizers.legacy.Optimizer)
_SCHEDULE = keras.optimizers.schedules.LearningRateSchedule
# These lead out of the model, or only to what can be reached otherwise.
_NOT_FOLLOWED = (type, keras.callbacks.Callback, keras_tensor.KerasTensor, node.Node)
_BOOKKEEPING = ("_self_", "_inbound_nodes", "_outbound_nodes", "_obj_reference_counts", "_thread_local")
_PLUMBING = frozenset({"builtins", "functools", "logging", "numpy", "tensorflow", "threading", "weakref"})
_DEEPEST = 8
_MOST = 500_000


@dataclasses.dataclass
class Untracked:
    """What was found.

    Attributes:
      state: variables, generators and tables by the attribute path that leads to them, which is the same in every
        process that has built the model to the same point.
      metrics: the metrics that hold some of them.
    """

    state: dict[str, Any] = dataclasses.field(default_factory=dict)
    metrics: list[keras.metrics.Metric] = dataclasses.field(default_factory=list)


def find(checkpoint: tf.train.Checkpoint, model: keras.Model) -> Untracked:
    """What the model's attributes lead to, and the checkpoint does not hold."""
    found = Untracked()
    tracked, layers = tf.train.TrackableView(checkpoint).descendants(), list(model._flatten_layers())
    seen = {id(each) for held in tracked if isinstance(held, _STATE) for each in _forms(held)} | set(map(id, layers))
    # Keras itself resets both.
    seen |= {id(model._test_counter), id(model._predict_counter)}
    for number, layer in enumerate(layers):
        _follow(layer, f"{number}", 0, seen, found)
    return found


def strangers(checkpoint: tf.train.Checkpoint, model: keras.Model) -> list[str]:
    """The names of the variables that training uses and that the checkpoint does not hold.

    Empty for eager training and under a distribution strategy, where they cannot be determined.
    """
    function = getattr(model, "train_tf_function", None)
    if function is None or not isinstance(model.distribute_strategy, distribute_lib._DefaultDistributionStrategy):
        return []
    held = [each for each in tf.train.TrackableView(checkpoint).descendants() if isinstance(each, tf.Variable)]
    if isinstance(model.optimizer, keras.optimizers.legacy.Optimizer):
        held += model.optimizer.variables()
    known = {id(variable.handle) for variable in held}
    used = [variable for traced in function._list_all_concrete_functions() for variable in traced.variables]
    return sorted({variable.name for variable in used if id(variable.handle) not in known})


def _follow(holder: Any, path: str, depth: int, seen: set[int], found: Untracked) -> None:
    for name, value in _held(holder):
        if id(value) in seen or len(seen) > _MOST:
            continue
        if isinstance(value, _STATE):
            seen |= {id(each) for each in _forms(value)}
            found.state[f"{path}/{name}"] = value
        elif depth < _DEEPEST and _leads_on(value):
            seen.add(id(value))
            if isinstance(value, keras.metrics.Metric):
                found.metrics.append(value)
            _follow(value, f"{path}/{name}", depth + 1, seen, found)


def _held(holder: Any) -> list[tuple[str, Any]]:
    """What an object holds, by name, in an order that is the same in every process."""
    if isinstance(holder, Mapping):
        return [(str(key), value) for key, value in holder.items() if isinstance(key, (str, int))]
    if isinstance(holder, (list, tuple)):
        return [(str(number), value) for number, value in enumerate(holder)]
    attributes = _attributes(holder)
    if isinstance(holder, _OPTIMIZERS):
        # Its own variables are in the checkpoint (those of a legacy optimizer, beside the objects seen there).
        attributes |= getattr(holder, "_hyper", {})
        return [(name, value) for name, value in attributes.items() if isinstance(value, (_SCHEDULE, *_OPTIMIZERS))]
    return [(name, value) for name, value in attributes.items() if not name.startswith(_BOOKKEEPING)]


def _leads_on(value: Any) -> bool:
    if isinstance(value, (Mapping, list, tuple)):
        return True
    package = type(value).__module__.partition(".")[0]
    return package not in _PLUMBING and not isinstance(value, _NOT_FOLLOWED) and bool(_attributes(value))


def _attributes(holder: Any) -> dict[str, Any]:
    """An object's attributes, read without calling its own methods, which may do anything."""
    try:
        return dict(object.__getattribute__(holder, "__dict__"))
    except AttributeError:
        return {}


def _forms(held: Any) -> tuple[Any, ...]:
    """The objects that stand for a variable: two for an AutoCastVariable."""
    return (held, held._variable) if isinstance(held, autocast_variable.AutoCastVariable) else (held,)
