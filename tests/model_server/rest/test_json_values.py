"""From nested lists to arrays: what is converted at once is what would be converted one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.errors import ServingError
from model_server.rest import json_values
from model_server.rest.json_values import PIECE, release, shape_of, to_array
from model_server.signature import DType, dtype_of

FLOAT, DOUBLE, UINT8, INT8, STRING, INT64, BOOL, HALF, UINT64 = (dtype_of(n) for n in (1, 2, 4, 6, 7, 9, 10, 19, 23))


def refusal(value: Any, dtype: DType) -> ServingError:
    with pytest.raises(ServingError) as error_info:
        to_array(value, dtype)
    return error_info.value


@pytest.mark.parametrize(
    "shape", [(), (0,), (3,), (2, 0), (0, 2), (2 * PIECE + 1,), (PIECE, 2), (1, PIECE + 1), (2, 2, PIECE)]
)
def test_lists_of_equal_lengths_make_an_array(shape: tuple[int, ...]) -> None:
    for dtype in (FLOAT, INT64, BOOL, STRING):
        expected = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 5
        if dtype is STRING:
            expected = expected.astype(str)
        value = expected.astype(bool if dtype is BOOL else expected.dtype).tolist()
        array = to_array(value, dtype)
        assert array.dtype == dtype.numpy
        # A list of no lists says nothing of what they would be.
        assert array.shape == (shape if 0 not in shape else shape_of(value))
        if dtype is STRING:
            assert [text.decode() for text in array.ravel()] == expected.ravel().tolist()
        else:
            np.testing.assert_array_equal(array, np.reshape(value, array.shape))


@pytest.mark.parametrize(
    ("value", "dtype", "says"),
    [
        ([1, 2.0], INT64, "JSON Value: 2.0 Type: Number is not of expected type: int64"),
        ([1, -129], INT8, "JSON Value: -129 Type: Number is not of expected type: int8"),
        ([256], UINT8, "JSON Value: 256 Type: Number is not of expected type: uint8"),
        ([-1], UINT64, "JSON Value: -1 Type: Number is not of expected type: uint64"),
        ([2**63], INT64, "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64"),
        ([1.0, True], FLOAT, "JSON Value: true Type: True is not of expected type: float"),
        ([1.0, {"b64": ""}], FLOAT, "Type: Object is not of expected type: float"),
        ([{"b64": "YQ==="}], STRING, "Unable to base64 decode"),
        ([[1, 2], [3]], FLOAT, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ([[1], 2], FLOAT, "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ([1, [2]], FLOAT, "Encountered list at unexpected level: 1 expected < 1"),
        # The first wrong one in the order of the text, be it of another kind than a later one.
        ([[1, "x"], [3]], FLOAT, 'JSON Value: "x" Type: String is not of expected type: float'),
    ],
)
def test_the_first_wrong_value_is_told(value: Any, dtype: DType, says: str) -> None:
    assert says in refusal(value, dtype).message


@pytest.mark.parametrize("before", [0, PIECE - 1, PIECE, 3 * PIECE])
def test_a_wrong_value_is_found_behind_many_right_ones(before: int) -> None:
    for wrong, says in (("x", 'JSON Value: "x" Type: String is not'), ([1], "Encountered list at unexpected level: 1")):
        assert says in refusal([1.0] * (before + 1) + [wrong, "later"], FLOAT).message
    assert "unexpected size: 1 at level: 1" in refusal([[1, 2]] * (before + 1) + [[1]], FLOAT).message


def test_a_type_without_json_is_refused_as_tensorflow_serving_does() -> None:
    error = refusal([1.5], HALF)
    assert (error.http_status, error.message) == (501, "Conversion of JSON Value: 1.5 to type: half")


def test_a_shape_that_its_lists_do_not_fill_takes_no_memory() -> None:
    assert "found at incorrect level" in refusal([[0] * 10**6, *[0] * (10**6 - 1)], DOUBLE).message


def test_base64_may_have_white_space_and_lack_its_padding() -> None:
    texts = ["YQ==", "YQ", " Y\nQ =\r\n= ", ""]
    assert to_array([{"b64": text} for text in texts], STRING).tolist() == [b"a", b"a", b"a", b""]


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=3)
    | st.just({"b64": "YQ"})
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@given(VALUES, st.sampled_from((FLOAT, UINT8, STRING, INT64, BOOL, UINT64)))
def test_a_value_is_converted_at_once_just_if_it_has_nothing_wrong(value: Any, dtype: DType) -> None:
    shape = shape_of(value)
    at_once = json_values.convert([value], shape, dtype)
    try:
        array = to_array(value, dtype)
    except ServingError as error:
        assert at_once is None, error.message
    else:
        assert at_once is not None
        assert array.shape == shape
        np.testing.assert_array_equal(array, at_once[0])


def test_a_document_is_emptied_to_its_last_list() -> None:
    rows = [{"a": [1, [2]]} for _ in range(3)]
    document: dict[str, Any] = {"instances": rows, "many": [0] * (PIECE + 1)}
    many = document["many"]
    inner = rows[0]["a"]
    release(document)
    assert (document, rows, many, inner) == ({}, [], [], [])
