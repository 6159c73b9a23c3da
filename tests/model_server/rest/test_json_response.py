"""From arrays to JSON: the two forms, and numbers that read back as themselves."""

from __future__ import annotations

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.errors import ServingError
from model_server.rest.json_request import Form
from model_server.rest.json_response import render
from model_server.rest.json_values import PIECE
from model_server.signature import Array

SCORES = np.array([[0.1], [2.0]], np.float32)
NAMES = np.array([b"a", "ü".encode()], object)


def test_one_output_is_bare_and_several_are_named() -> None:
    both = {"scores": SCORES, "names": NAMES}
    assert json.loads(render({"scores": SCORES}, Form.ROW)) == {"predictions": [[0.1], [2.0]]}
    assert json.loads(render({"scores": SCORES}, Form.COLUMN)) == {"outputs": [[0.1], [2.0]]}
    assert json.loads(render(both, Form.ROW)) == {
        "predictions": [{"scores": [0.1], "names": "a"}, {"scores": [2.0], "names": "ü"}]
    }
    assert json.loads(render(both, Form.COLUMN)) == {"outputs": {"scores": [[0.1], [2.0]], "names": ["a", "ü"]}}


def test_an_output_named_bytes_is_base64() -> None:
    outputs = {"image_bytes": np.array([b"\xff\x00"], object)}
    assert json.loads(render(outputs, Form.ROW)) == {"predictions": [{"b64": "/wA="}]}


def test_bytes_under_any_other_name_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ServingError, match="Name it image_bytes in the model") as error_info:
        render({"image": np.array([b"\xff"], object)}, Form.ROW)
    assert error_info.value.http_status == 400


def test_what_is_no_number_is_a_bare_word() -> None:
    outputs = {"x": np.array([np.nan, np.inf, -np.inf], np.float32)}
    assert render(outputs, Form.ROW) == '{"predictions": [NaN, Infinity, -Infinity]}'


def test_whole_numbers_keep_their_point_only_if_they_are_floats() -> None:
    assert render({"x": np.array([1, 2], np.float32)}, Form.ROW) == '{"predictions": [1.0, 2.0]}'
    assert render({"x": np.array([1, 2], np.int64)}, Form.ROW) == '{"predictions": [1, 2]}'


@given(st.floats(width=32, allow_nan=False))
def test_a_float_reads_back_as_itself_and_no_longer_than_needed(value: float) -> None:
    text = render({"x": np.array([value], np.float32)}, Form.ROW)
    read = json.loads(text)["predictions"][0]
    assert struct.pack("f", read) == struct.pack("f", value)
    assert read == float(str(np.float32(value))), "the fewest digits that tell it from its neighbours"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(PIECE * 2 + 1,), (PIECE, 3), (2, PIECE + 1), (3, 0), (0, 3), (2, 2, PIECE)])
def test_a_large_array_is_written_as_a_small_one(dtype: type, shape: tuple[int, ...]) -> None:
    array: Array = (np.arange(np.prod(shape)) % 7 / 2).astype(dtype).reshape(shape)
    assert json.loads(render({"x": array}, Form.COLUMN)) == {"outputs": array.tolist()}
    assert json.loads(render({"x": array}, Form.ROW)) == {"predictions": array.tolist()}
    rows = json.loads(render({"x": array, "y": array}, Form.ROW))["predictions"]
    assert rows == [{"x": row, "y": row} for row in array.tolist()]


def test_what_is_no_number_is_a_bare_word_among_many_numbers_too() -> None:
    array = np.ones(PIECE + 1, np.float32)
    array[-1] = np.nan
    assert render({"x": array}, Form.ROW).endswith("1.0, NaN]}")


@pytest.mark.parametrize("dtype", [np.float16, np.uint16, np.complex64, ml_dtypes.bfloat16])
def test_a_type_without_a_form_in_json_is_refused(dtype: type) -> None:
    with pytest.raises(
        ServingError, match=r"Failed to write JSON value for tensor type: .* \(output x\)"
    ) as error_info:
        render({"x": np.ones(2, dtype)}, Form.ROW)
    assert error_info.value.http_status == 400


def test_rows_need_a_common_batch() -> None:
    with pytest.raises(ServingError, match="Tensor name: x has no shape information"):
        render({"x": np.asarray(np.float32(1))}, Form.ROW)
    assert render({"x": np.asarray(np.float32(1))}, Form.COLUMN) == '{"outputs": 1.0}'
    with pytest.raises(ServingError, match="Tensor name: b has inconsistent batch size: 2 expecting: 3"):
        render({"a": np.zeros(3), "b": np.zeros(2)}, Form.ROW)
