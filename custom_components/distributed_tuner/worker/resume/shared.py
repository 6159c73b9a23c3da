"""Warns of state that several executions train: layers, or an optimizer, made once and shared by all models.

They continue to learn from trial to trial, so that a score depends on what its worker ran before. They are not reset:
it may be intended, and their initial state is gone.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Hashable
from typing import Any

import tensorflow as tf
from tensorflow import keras

_LOG = logging.getLogger(__name__)


class SharedState:
    """Remembers what the models of a process have trained, and keeps none of it alive."""

    def __init__(self) -> None:
        self._trained: dict[int, tuple[weakref.ref[Any], Hashable]] = {}
        self._told = False

    def look(self, model: keras.Model, execution: Hashable) -> None:
        """Logs a warning, once in a process, if the model trains what a model of another execution trained.

        Args:
          model: one that has been trained.
          execution: identifies the execution.
        """
        shared = [
            name
            for name, variables in _learners(model)
            if any(self._is_anothers(each, execution) for each in variables)
        ]
        if shared and not self._told:
            self._told = True
            _LOG.warning(
                "trained by more than one execution: %s. What is made once, in tuner_fn say, and used by every model "
                "learns on from trial to trial, so that scores depend on which trials a worker ran before. Make it in "
                "the model-building function, or set trainable = False; see docs/resume.md",
                ", ".join(shared),
            )

    def _is_anothers(self, variable: Any, execution: Hashable) -> bool:
        known = self._trained.get(id(variable))
        number = id(variable)
        if known is None or known[0]() is not variable:
            self._trained[number] = weakref.ref(variable, lambda gone: self._trained.pop(number, None)), execution
            return False
        return known[1] != execution


def _learners(model: keras.Model) -> list[tuple[str, list[tf.Variable]]]:
    """Each layer and the optimizer, described for people, with the variables that its training changes."""
    found: list[tuple[str, list[tf.Variable]]] = []
    for layer in model._flatten_layers():
        own = [*layer._trainable_weights] if layer.trainable else []
        if layer.trainable and isinstance(layer, keras.layers.BatchNormalization):
            own += layer._non_trainable_weights
        found.append((f"{layer.name} ({type(layer).__name__})", own))
    optimizer = getattr(model, "optimizer", None)
    if isinstance(optimizer, (keras.optimizers.Optimizer, keras.optimizers.legacy.Optimizer)):
        found.append((f"the optimizer {type(optimizer).__name__}", [optimizer.iterations]))
    return found
