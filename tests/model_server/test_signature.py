"""Inputs held against a signature."""

from __future__ import annotations

import numpy as np
import pytest

from model_server.errors import ServingError
from model_server.signature import Array, Signature, TensorSpec, check_inputs, dtype_of

SIGNATURE = Signature(
    "s", {"x": TensorSpec("x:0", 1, (-1, 1)), "n": TensorSpec("n:0", 9, (-1,)), "any": TensorSpec("a:0", 7, None)}, {}
)


def inputs(**changed: Array) -> dict[str, Array]:
    whole: dict[str, Array] = {
        "x": np.zeros((2, 1), np.float32),
        "n": np.zeros(2, np.int64),
        "any": np.array([[b"a"]], object),
    }
    return {**whole, **changed}


def refusal(given: dict[str, Array]) -> str:
    with pytest.raises(ServingError) as error_info:
        check_inputs(SIGNATURE, given)
    assert error_info.value.http_status == 400
    return error_info.value.message


def test_inputs_as_the_signature_wants_them_pass() -> None:
    check_inputs(SIGNATURE, inputs())


def test_a_missing_and_an_extra_input_are_named() -> None:
    without = inputs()
    del without["n"]
    assert refusal(without).endswith("Sent extra: {}. Missing but required: {n}.")
    assert "Sent extra: {z}" in refusal(inputs(z=np.zeros(2)))
    renamed = {**without, "z": np.zeros(2)}
    assert refusal(renamed).startswith("input tensor alias not found in signature: z.")


def test_a_wrong_type_and_a_wrong_shape_are_named() -> None:
    assert refusal(inputs(n=np.zeros(2, np.float32))) == "Input n is of type float32, but signature s wants int64"
    assert "Input x has shape [2,3], but signature s wants [-1,1]" in refusal(inputs(x=np.zeros((2, 3), np.float32)))


def test_a_shape_that_lacks_or_has_one_list_too_many_gets_a_hint() -> None:
    assert refusal(inputs(x=np.zeros(2, np.float32))).endswith("Put each value into a list of one: [5.0] for 5.0")
    assert "by itself, not in a list" in refusal(inputs(n=np.zeros((2, 1), np.int64)))


def test_the_types_are_tensorflows() -> None:
    import tensorflow as tf

    for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 22, 23):
        assert np.dtype(tf.dtypes.as_dtype(number).as_numpy_dtype) == dtype_of(number).numpy
