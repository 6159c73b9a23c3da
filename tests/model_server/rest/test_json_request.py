"""From JSON to arrays: every form that is allowed, and every refusal."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from model_server.errors import ServingError
from model_server.rest import json_values
from model_server.rest.json_request import Form, parse, read_inputs
from model_server.signature import Array, Signature, TensorSpec

FLOAT, DOUBLE, INT8, STRING, INT64, BOOL, UINT64 = 1, 2, 6, 7, 9, 10, 23


def signature(**types: int) -> Signature:
    return Signature("s", {name: TensorSpec(f"{name}:0", number, None) for name, number in types.items()}, {})


def read(document: Any, **types: int) -> tuple[Form, dict[str, Array]]:
    return read_inputs(parse(json.dumps(document).encode()), signature(**types))


def refusal(document: Any, **types: int) -> str:
    with pytest.raises(ServingError) as error_info:
        read(document, **types)
    assert error_info.value.http_status == 400
    return error_info.value.message


def test_rows_of_objects_become_one_array_per_input() -> None:
    form, arrays = read({"instances": [{"a": 1, "b": ["x", "y"]}, {"b": ["z", ""], "a": 2.5}]}, a=FLOAT, b=STRING)
    assert form is Form.ROW
    assert arrays["a"].dtype == np.float32
    assert arrays["a"].tolist() == [1.0, 2.5]
    assert arrays["b"].tolist() == [[b"x", b"y"], [b"z", b""]]


def test_rows_may_be_bare_where_there_is_one_input() -> None:
    assert read({"instances": [[1, 2], [3, 4]]}, a=INT64)[1]["a"].tolist() == [[1, 2], [3, 4]]
    assert read({"instances": [{"b64": "/wA="}, "text"]}, a=STRING)[1]["a"].tolist() == [b"\xff\x00", b"text"]
    assert read({"instances": [{"a": {"b64": "/wA"}}]}, a=STRING)[1]["a"].tolist() == [b"\xff\x00"]


def test_columns_may_be_bare_where_there_is_one_input() -> None:
    form, arrays = read({"inputs": [[True], [False]]}, a=BOOL)
    assert form is Form.COLUMN
    assert arrays["a"].tolist() == [[True], [False]]
    assert read({"inputs": {"a": [1], "b": [2, 3], "not asked for": 1}}, a=INT8, b=INT64)[1].keys() == {"a", "b"}
    assert read({"inputs": {"b64": "YQ=="}}, a=STRING)[1]["a"].shape == ()


def test_numbers_reach_the_ends_of_their_types() -> None:
    body = parse(
        b'{"inputs": {"f": [NaN, Infinity, -Infinity, 1e300, 3], "i": [-128, 127], "u": [18446744073709551615]}}'
    )
    arrays = read_inputs(body, signature(f=FLOAT, i=INT8, u=UINT64))[1]
    np.testing.assert_array_equal(arrays["f"], np.array([np.nan, np.inf, -np.inf, np.inf, 3], np.float32))
    assert arrays["i"].tolist() == [-128, 127]
    assert arrays["u"].tolist() == [2**64 - 1]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: Missing a name for object member. at offset: 1"),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b'{"signature_name": 1}', "'signature_name' key must be a string value."),
    ],
)
def test_a_body_that_is_no_request_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(ServingError) as error_info:
        parse(body)
    assert error_info.value.http_status == 400
    assert says in error_info.value.message


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"inputs": 1, "instances": [1]}, "expecting only one of 'inputs' or 'instances' keys to exist"),
        ({"instances": 1}, "Expecting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [1]}, "instances is a plain list, but expecting list of objects"),
        ({"instances": [{"a": 1, "b": "x"}, 2]}, "Expecting object but got list at item 1 of input list"),
        ({"instances": [{"a": 1}]}, 'JSON object: {"a": 1} keys must be equal to: a,b'),
        ({"instances": [{"a": 1, "b": "x", "c": 1}]}, "element: 0 key: c of 'instances' list. Error: INVALID_ARGUMENT"),
        ({"instances": [{"a": "1", "b": "x"}]}, 'JSON Value: "1" Type: String is not of expected type: float'),
        ({"instances": [{"a": True, "b": "x"}]}, "Type: True is not of expected type: float"),
        ({"instances": [{"a": None, "b": "x"}]}, "Type: Null is not of expected type: float"),
        ({"instances": [{"a": 1, "b": 5}]}, "Type: Number is not of expected type: string"),
        ({"instances": [{"a": 1, "b": {"b64": "!"}}]}, "Unable to base64 decode"),
        ({"instances": [{"a": 1, "b": {"b65": "aa"}}]}, "not formatted correctly for base64 data"),
        ({"instances": [{"a": 10**400, "b": "x"}]}, "Number too big to be stored in double. at offset: 21"),
        ({"instances": [{"a": 1, "b": "x"}, {"a": [1, 2], "b": "x"}]}, "Expecting tensor size: 1 but got: 2"),
        ({"instances": [{"a": 1, "b": "x"}, {"a": [1], "b": "x"}]}, "Expecting shape [] but got: [1]"),
        ({"inputs": [1]}, "inputs is a plain value/list, but expecting an object"),
        ({"inputs": {"a": [1]}}, "Missing named input: b in 'inputs' object."),
        ({"inputs": {"a": [[1, 2], [3]], "b": []}}, "unexpected size: 1 at level: 1 expected size: 2"),
        ({"inputs": {"a": [1, [2]], "b": []}}, "Encountered list at unexpected level: 1 expected < 1"),
        ({"inputs": {"a": [[1], 2], "b": []}}, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ],
)
def test_a_request_that_does_not_fit_the_signature_is_refused(document: Any, says: str) -> None:
    assert says in refusal(document, a=FLOAT, b=STRING)


def test_integers_must_be_whole_and_within_their_type() -> None:
    assert "JSON Value: 1.5 Type: Number is not of expected type: int64" in refusal({"inputs": [1.5]}, a=INT64)
    assert "JSON Value: 128 Type: Number is not of expected type: int8" in refusal({"inputs": [128]}, a=INT8)
    assert "is not of expected type: bool" in refusal({"inputs": [1]}, a=BOOL)


def test_one_instance_of_many_that_is_not_like_the_first_is_named() -> None:
    rows: list[Any] = [{"a": index, "b": [str(index), ""]} for index in range(json_values.PIECE)]
    assert read({"instances": rows}, a=INT64, b=STRING)[1]["b"].shape == (len(rows), 2)
    last = len(rows) - 1
    for wrong, says in (
        (
            {"a": 1.5, "b": ["x", "y"]},
            f"element: {last} key: a of 'instances' list. Error: INVALID_ARGUMENT: JSON Value",
        ),
        ({"a": 1, "b": ["x"]}, "Expecting tensor size: 2 but got: 1"),
        ({"a": 1, "b": [["x"], ["y"]]}, "Expecting shape [2] but got: [2,1]"),
        ({"a": 1}, "keys must be equal to: a,b"),
        ([1], f"Expecting object but got list at item {last} of input list"),
    ):
        assert says in refusal({"instances": [*rows[:-1], wrong]}, a=INT64, b=STRING)


def test_one_instance_may_be_larger_than_a_piece() -> None:
    row = list(range(2 * json_values.PIECE + 1))
    assert read({"instances": [row, row]}, a=INT64)[1]["a"].tolist() == [row, row]
    assert "Type: Null is not of expected type: int64" in refusal({"instances": [row, [*row[:-1], None]]}, a=INT64)


def test_an_input_may_be_called_as_bytes_are_marked() -> None:
    assert read({"instances": [{"b64": 1}, {"b64": 2}]}, b64=INT64)[1]["b64"].tolist() == [1, 2]
    says = "Expecting object but got list at item 1 of input list"
    assert refusal({"instances": [{"b64": 1}, {"b64": "YQ=="}]}, b64=INT64) == says
    assert read({"instances": [{"b64": "YQ=="}]}, b64=STRING)[1]["b64"].tolist() == [b"a"]


def test_values_nested_beyond_any_array_are_refused() -> None:
    nested: Any = 1
    for _ in range(200):
        nested = [nested]
    assert "nested 200 lists deep" in refusal({"inputs": nested}, a=FLOAT)


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(refusal({"inputs": ["x" * 10_000]}, a=FLOAT)) < 400


def test_a_signature_without_inputs_cannot_be_called() -> None:
    assert refusal({"instances": [1]}) == "Failed to get input map for signature: s"
