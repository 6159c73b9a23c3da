"""Whatever a trial sets for its whole process can be put back."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras
from tensorflow.python.framework import config
from tensorflow.python.ops import stateful_random_ops

from custom_components.distributed_tuner.worker.resume import global_state
from custom_components.distributed_tuner.worker.resume.global_state import GlobalState

backend = keras.backend


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = GlobalState()
    yield
    before.put_back()


def policy_and_its_effect() -> Any:
    layer = keras.layers.Dense(1)
    return keras.mixed_precision.global_policy().name, layer.compute_dtype, layer.variable_dtype


def enter(scope: Any) -> None:
    """As code does that never leaves it."""
    scope.__enter__()


def division() -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return str(np.float64(1.0) / np.float64(0.0))
    except FloatingPointError:
        return "raises"


def numerics() -> bool:
    try:
        return bool(tf.math.is_inf(tf.constant(1.0) / tf.constant(0.0)))
    except tf.errors.InvalidArgumentError:
        return False


def warned() -> str:
    try:
        warnings.warn("now", UserWarning, stacklevel=2)
    except UserWarning:
        return "raises"
    return "goes on"


def traced() -> bool:
    """Whether a function is traced, and not just called."""
    return bool(tf.function(lambda: tf.constant(not tf.executing_eagerly()))().numpy())


CHANGES: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
    (
        "the mixed-precision policy",
        lambda: keras.mixed_precision.set_global_policy("mixed_bfloat16"),
        policy_and_its_effect,
    ),
    (
        "keras.backend.floatx",
        lambda: backend.set_floatx("float64"),
        lambda: (backend.floatx(), keras.layers.Dense(1).dtype),
    ),
    ("keras.backend.epsilon", lambda: backend.set_epsilon(0.5), backend.epsilon),
    (
        "keras.backend.image_data_format",
        lambda: backend.set_image_data_format("channels_first"),
        backend.image_data_format,
    ),
    ("Keras' learning phase", lambda: backend.set_learning_phase(1), lambda: int(backend.learning_phase())),
    (
        "Keras' use of tf.random.Generator",
        lambda: (
            backend.experimental.disable_tf_random_generator()
            if backend.experimental.is_tf_random_generator_enabled()
            else backend.experimental.enable_tf_random_generator()
        ),
        backend.experimental.is_tf_random_generator_enabled,
    ),
    (
        "Keras' custom objects",
        lambda: keras.utils.get_custom_objects().update(relu=abs),
        lambda: keras.activations.get("relu"),
    ),
    (
        "Keras' custom objects",
        lambda: keras.saving.register_keras_serializable("own", "seven")(lambda: 7),
        lambda: sorted(keras.utils.get_custom_objects()),
    ),
    ("eager mode of functions", lambda: tf.config.run_functions_eagerly(True), traced),
    (
        "tf.data's debug mode",
        tf.data.experimental.enable_debug_mode,
        lambda: next(iter(tf.data.Dataset.range(1).map(lambda x: tf.cast(tf.executing_eagerly(), tf.int64)))).numpy(),
    ),
    (
        "the options of TensorFlow's optimizer of graphs",
        lambda: tf.config.optimizer.set_jit(True),
        tf.config.optimizer.get_jit,
    ),
    (
        "the options of TensorFlow's optimizer of graphs",
        lambda: tf.config.optimizer.set_experimental_options({"constant_folding": False}),
        tf.config.optimizer.get_experimental_options,
    ),
    ("the default device", lambda: enter(tf.device("CPU:0")), lambda: global_state._context().device_name),
    ("soft_device_placement", lambda: tf.config.set_soft_device_placement(False), tf.config.get_soft_device_placement),
    (
        "device_policy",
        lambda: tf.config.experimental.set_device_policy("explicit"),
        tf.config.experimental.get_device_policy,
    ),
    (
        "execution_mode",
        lambda: tf.config.experimental.set_synchronous_execution(False),
        tf.config.experimental.get_synchronous_execution,
    ),
    (
        "the default distribution strategy",
        lambda: tf.distribute.experimental_set_strategy(tf.distribute.OneDeviceStrategy("CPU:0")),
        lambda: type(tf.distribute.get_strategy()).__name__,
    ),
    (
        "TensorFloat-32",
        lambda: tf.config.experimental.enable_tensor_float_32_execution(False),
        tf.config.experimental.tensor_float_32_execution_enabled,
    ),
    (
        "determinism of operations",
        tf.config.experimental.enable_op_determinism,
        lambda: tf.config.experimental.get_synchronous_execution() and config.is_op_determinism_enabled(),
    ),
    ("the check of numerics", tf.debugging.enable_check_numerics, numerics),
    (
        "TensorFlow's global generator",
        lambda: tf.random.set_global_generator(tf.random.Generator.from_seed(1)),
        lambda: id(stateful_random_ops.global_generator),
    ),
    ("what NumPy does on floating-point errors", lambda: np.seterr(all="raise"), division),
    ("the filters of warnings", lambda: warnings.simplefilter("error"), warned),
    ("the working directory", lambda: os.chdir("/"), os.getcwd),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "change", "look"), CHANGES)
def test_what_was_changed_is_put_back(name: str, change: Callable[[], object], look: Callable[[], object]) -> None:
    before, state = look(), GlobalState()
    change()
    assert look() != before
    assert name in state.put_back()
    assert look() == before
    assert name not in state.put_back()


def test_each_setting_is_in_the_table_of_this_test() -> None:
    of_its_own = {"the names that Keras has given"}
    assert {setting.name for setting in global_state._SETTINGS} == {name for name, _, _ in CHANGES} | of_its_own


def test_layers_and_metrics_are_named_as_before_also_in_another_graph() -> None:
    def named() -> list[str]:
        return [keras.layers.Dense(1).name, keras.layers.Dense(1).name, keras.metrics.AUC().name]

    backend.clear_session()
    keras.layers.Dense(1)
    state = GlobalState()
    first = named()
    assert first == ["dense_1", "dense_2", "auc"] != named()
    state.put_back()
    assert named() == first
    backend.clear_session()
    state.put_back()
    assert named() == first


def test_what_cannot_be_put_back_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    values = [1, 2]

    def refuse(value: int) -> None:
        raise RuntimeError(f"no way back to {value}")

    stuck = global_state._Setting("the stuck one", lambda: values[0], refuse)
    floating = next(each for each in global_state._SETTINGS if each.name == "keras.backend.floatx")
    monkeypatch.setattr(global_state, "_SETTINGS", (stuck, floating))
    state = GlobalState()
    values.reverse()
    backend.set_floatx("float64")
    assert state.put_back() == ["the stuck one", "keras.backend.floatx"]
    assert backend.floatx() == "float32"
    (told,) = caplog.messages
    assert told.startswith("the stuck one cannot be put back") and "RuntimeError: no way back to 1" in told
