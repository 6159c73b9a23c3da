"""The process-wide settings of Keras, TensorFlow, NumPy and Python, saved and restored.

A trial's code may change them and not change them back: half precision for a model, eager mode for debugging. In a
worker that would affect the trials that happen to follow there, and no others.

Written against TensorFlow and Keras 2.15; settings without a public way to restore them are set through private
attributes.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keras.src import backend
from keras.src.mixed_precision import policy as policies
from tensorflow.python.data.ops import debug_mode
from tensorflow.python.debug.lib import check_numerics_callback
from tensorflow.python.eager import context
from tensorflow.python.framework import config, ops
from tensorflow.python.ops import stateful_random_ops

from custom_components.distributed_tuner.worker.resume.custom_objects import CustomObjects

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Setting:
    """A setting: its name, and how it is read and set."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


class GlobalState:
    """The current values of all settings."""

    def __init__(self) -> None:
        self._values = [setting.read() for setting in _SETTINGS]

    def put_back(self) -> list[str]:
        """Restores all settings.

        Returns:
          The names of those that had changed. One that cannot be restored is logged.
        """
        changed = []
        for setting, value in zip(_SETTINGS, self._values, strict=True):
            if setting.read() == value:
                continue
            changed.append(setting.name)
            try:
                setting.write(value)
            except Exception as error:
                # Whatever a library raises here, the trials go on.
                _LOG.warning(
                    "%s cannot be put back to what it was before this process's trials, which later ones will notice: "
                    "%s: %s",
                    setting.name,
                    type(error).__name__,
                    error,
                )
        return changed


def _context() -> Any:
    return context.context()


def _set_jit(options: tuple[Any, dict[str, Any]]) -> None:
    own = _context()
    own._optimizer_jit, own._optimizer_experimental_options = options[0], dict(options[1])
    # Makes TensorFlow recompute the options that functions are called with.
    own._thread_local_data.function_call_options = None


def _jit() -> tuple[Any, dict[str, Any]]:
    return _context()._optimizer_jit, dict(_context()._optimizer_experimental_options)


def _learning_phase() -> tuple[bool, Any]:
    """(whether it is set, its value)."""
    return backend._DUMMY_EAGER_GRAPH.learning_phase_is_set, backend._GRAPH_LEARNING_PHASES.get(
        backend._DUMMY_EAGER_GRAPH.key
    )


def _set_learning_phase(phase: tuple[bool, Any]) -> None:
    backend._DUMMY_EAGER_GRAPH.learning_phase_is_set, value = phase
    for graph in (backend._DUMMY_EAGER_GRAPH.key, backend.get_graph()):
        if value is None:
            backend._GRAPH_LEARNING_PHASES.pop(graph, None)
        else:
            backend._internal_set_learning_phase(graph, value)


def _name_graphs() -> tuple[Any, Any]:
    """The graphs, Keras's own and TensorFlow's, for which Keras counts the names that it gives."""
    return backend.get_graph(), tf.compat.v1.get_default_graph()


def _names() -> tuple[Any, ...]:
    counted = (dict(backend.PER_GRAPH_OBJECT_NAME_UIDS.get(graph, {})) for graph in _name_graphs())
    return (*counted, set(backend.OBSERVED_NAMES))


def _set_names(names: tuple[Any, ...]) -> None:
    *counted, observed = names
    for graph, counts in zip(_name_graphs(), counted, strict=True):
        backend.PER_GRAPH_OBJECT_NAME_UIDS[graph] = collections.defaultdict(int, counts)
    backend.OBSERVED_NAMES.clear()
    backend.OBSERVED_NAMES.update(observed)


def _device() -> tuple[Any, Any]:
    return _context().device_name, _context().device_spec


def _strategy() -> Any:
    """The default strategy, that set outside a `with`; None if there is none."""
    scope = ops.get_default_graph()._global_distribute_strategy_scope
    return None if scope is None else tf.distribute.get_strategy()


def _checks_numerics() -> bool:
    return hasattr(check_numerics_callback._state, "check_numerics_callback")


def _set_checks_numerics(on: bool) -> None:
    (tf.debugging.enable_check_numerics if on else tf.debugging.disable_check_numerics)()


def _set_determinism(on: bool) -> None:
    (config.enable_op_determinism if on else config.disable_op_determinism)()


def _set_generator_for_layers(on: bool) -> None:
    backend._USE_GENERATOR_FOR_RNG = on


def _set_warnings(filters: list[Any]) -> None:
    warnings.filters = filters
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _folder() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def _attribute(name: str) -> _Setting:
    """A property of TensorFlow's context."""
    return _Setting(name, lambda: getattr(_context(), name), lambda value: setattr(_context(), name, value))


_SETTINGS = (
    _Setting("the mixed-precision policy", lambda: policies._global_policy, policies.set_global_policy),
    _Setting("keras.backend.floatx", backend.floatx, backend.set_floatx),
    _Setting("keras.backend.epsilon", backend.epsilon, backend.set_epsilon),
    _Setting("keras.backend.image_data_format", backend.image_data_format, backend.set_image_data_format),
    _Setting("Keras' learning phase", _learning_phase, _set_learning_phase),
    _Setting("Keras' use of tf.random.Generator", lambda: backend._USE_GENERATOR_FOR_RNG, _set_generator_for_layers),
    _Setting("the names that Keras has given", _names, _set_names),
    _Setting("Keras' custom objects", CustomObjects, CustomObjects.put_back),
    _Setting("eager mode of functions", tf.config.functions_run_eagerly, tf.config.run_functions_eagerly),
    _Setting("tf.data's debug mode", lambda: debug_mode.DEBUG_MODE, debug_mode.toggle_debug_mode),
    _Setting("the options of TensorFlow's optimizer of graphs", _jit, _set_jit),
    _Setting("the default device", _device, lambda device: _context()._set_device(*device)),
    _Setting("the default distribution strategy", _strategy, tf.distribute.experimental_set_strategy),
    _attribute("soft_device_placement"),
    _attribute("device_policy"),
    _attribute("execution_mode"),
    _Setting(
        "TensorFloat-32",
        tf.config.experimental.tensor_float_32_execution_enabled,
        tf.config.experimental.enable_tensor_float_32_execution,
    ),
    _Setting("determinism of operations", config.is_op_determinism_enabled, _set_determinism),
    _Setting("the check of numerics", _checks_numerics, _set_checks_numerics),
    _Setting(
        "TensorFlow's global generator",
        lambda: stateful_random_ops.global_generator,
        tf.random.set_global_generator,
    ),
    _Setting("what NumPy does on floating-point errors", np.geterr, lambda errors: np.seterr(**errors)),
    _Setting("the filters of warnings", lambda: list(warnings.filters), _set_warnings),
    _Setting("the working directory", _folder, os.chdir),
)
