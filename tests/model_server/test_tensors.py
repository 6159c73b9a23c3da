"""TensorProtos, well-formed and not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2

from model_server.errors import ServingError
from model_server.signature import Array, dtype_of
from model_server.tensors import array_to_proto, proto_to_array

NUMBERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 17, 18, 19, 22, 23)


def tensor(number: int, *shape: int, **fields: Any) -> Any:
    proto = tensor_pb2.TensorProto(dtype=number, **fields)
    for size in shape:
        proto.tensor_shape.dim.add().size = size
    return proto


def read(proto: Any, max_bytes: int = 1000) -> Array:
    return proto_to_array("x", proto, max_bytes=max_bytes)


def example(number: int) -> Array:
    dtype = dtype_of(number).numpy
    return np.array([[b"a", b"", b"c"]], object) if dtype.kind == "O" else np.array([[1, 0, 1]]).astype(dtype)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_type_survives_the_way_through_a_proto(number: int) -> None:
    array = example(number)
    proto = array_to_proto(array, dtype_of(number))
    assert not proto.tensor_content
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)
    back = read(proto)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("number", NUMBERS)
def test_what_tensorflow_packs_is_read(number: int) -> None:
    array = example(number)
    back = read(tf.make_tensor_proto(array, dtype=number))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_the_last_value_fills_up_the_shape_and_a_zero_where_there_is_none() -> None:
    assert read(tensor(1, 2, 2, float_val=[1.0, 2.0])).tolist() == [[1.0, 2.0], [2.0, 2.0]]
    assert read(tensor(7, 2)).tolist() == [b"", b""]
    assert read(tensor(19, 2)).tolist() == [0.0, 0.0]
    assert read(tensor(9, int64_val=[5])).shape == ()
    assert read(tensor(1, 0, 10**12)).shape == (0, 10**12)
    assert read(tensor(10, 2, tensor_content=b"\x00\x02")).tolist() == [False, True]


@pytest.mark.parametrize(
    ("proto", "says"),
    [
        (tensor(1, 2, float_val=[1, 2, 3]), "3 values do not fit into the shape [2]"),
        (tensor(1, float_val=[1, 2]), "2 values do not fit into the shape []"),
        (tensor(1, 2, -1, float_val=[1]), "its shape [2,-1] has a negative dimension; say how many values there are"),
        (tensor(1, *[1] * 33), "its shape has 33 dimensions; at most 32 are possible"),
        (tensor(1, 2**40, 2**40), "has more values than can be counted"),
        (tensor(1, 2**62, 0, 2**62), "has more values than can be counted"),
        (tensor(1, 251), "an array of shape [251] takes more than 1000 bytes"),
        (tensor(7, 126), "an array of shape [126] takes more than 1000 bytes"),
        (tensor(1, 2, tensor_content=b"123"), "tensor_content has 3 bytes, and float of shape [2] takes 8"),
        (tensor(7, 1, tensor_content=b"a"), "text belongs into string_val, not into tensor_content"),
        (tensor(6, 1, int_val=[128]), "128 in int_val is no int8"),
        (tensor(17, 1, int_val=[-1]), "-1 in int_val is no uint16"),
        (tensor(19, 1, half_val=[65536]), "65536 in half_val is no half"),
        (tensor(8, 1, scomplex_val=[1.0]), "scomplex_val has 1 numbers, of which two make a value"),
    ],
)
def test_what_is_not_well_formed_is_refused_in_words(proto: Any, says: str) -> None:
    with pytest.raises(ServingError) as error_info:
        read(proto)
    assert error_info.value.http_status == 400
    assert error_info.value.message.startswith("tensor parsing error: x. Input x is not a well-formed TensorProto: ")
    assert says in error_info.value.message


def test_a_shape_of_unknown_rank_is_refused() -> None:
    proto = tensor(1, float_val=[1])
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(ServingError, match="its shape says unknown_rank"):
        read(proto)


@pytest.mark.parametrize("number", [0, 20, 21, 11, 101])
def test_a_type_without_arrays_here_is_refused(number: int) -> None:
    with pytest.raises(ServingError, match=f"data type number {number}") as error_info:
        read(tensor(number))
    assert error_info.value.http_status == 501


FIELDS = {
    "float_val": st.lists(st.floats(width=32), max_size=4),
    "int_val": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
    "half_val": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
    "string_val": st.lists(st.binary(max_size=3), max_size=4),
    "scomplex_val": st.lists(st.floats(width=32), max_size=4),
    "tensor_content": st.binary(max_size=16),
}


@given(
    st.sampled_from(NUMBERS),
    st.lists(st.integers(0, 3) | st.integers(-(2**63), 2**63 - 1), max_size=3),
    st.fixed_dictionaries({}, optional=FIELDS),
)
def test_any_message_is_an_array_or_refused(number: int, shape: list[int], fields: dict[str, Any]) -> None:
    try:
        array = read(tensor(number, *shape, **fields))
    except ServingError as error:
        assert error.http_status == 400
    else:
        assert array.dtype == dtype_of(number).numpy
        assert list(array.shape) == shape
        assert array.nbytes <= 1000
