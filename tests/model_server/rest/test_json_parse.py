"""From bytes to JSON, as RapidJSON takes them in TensorFlow Serving."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.errors import ServingError
from model_server.rest import json_parse
from model_server.rest.json_parse import parse, show

# What makes a body so long that it is parsed in parts.
PADDING = b" " * (64 * 1024)


def refusal(body: bytes) -> str:
    with pytest.raises(ServingError) as error_info:
        parse(body)
    assert error_info.value.http_status == 400
    return error_info.value.message


@pytest.mark.parametrize("padding", [b"", PADDING], ids=["small", "large"])
@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 1}),
        (b'{"a": {"b": 1, "c": 2, "b": 3, "b": {}}, "a": 0}', {"a": {"b": 1, "c": 2}}),
        (b"[NaN, Infinity, -Infinity, Inf, -Inf]", [math.nan, math.inf, -math.inf, math.inf, -math.inf]),
        (b"[-9223372036854775808, 18446744073709551615]", [-(2**63), 2**64 - 1]),
        (b"[18446744073709551616, 1e308, 1e-400]", [2.0**64, 1e308, 0.0]),
        ('["\\ud83d\\ude00", "\N{SNOWMAN}"]'.encode(), ["\N{GRINNING FACE}", "\N{SNOWMAN}"]),
    ],
)
def test_it_is_read_as_tensorflow_serving_reads_it(body: bytes, value: Any, padding: bytes) -> None:
    # By way of text, for NaN is not equal to itself.
    assert json.dumps(parse(body + padding)) == json.dumps(value)


@pytest.mark.parametrize("padding", [b"", PADDING], ids=["small", "large"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a": 1e400}', "Number too big to be stored in double. at offset: 6"),
        (b'{"a": ' + b"1" * 5000 + b"}", "Number too big to be stored in double. at offset: 6"),
        (b'\xef\xbb\xbf{"a": 1,}', "Missing a name for object member. at offset: 11"),
        (b"[1]\0 [2]", "Invalid value. at offset: 3"),
        (b"[1] [2]", "The document root must not be followed by other values. at offset: 4"),
        (b'["\\ud800"]', "The surrogate pair in string is invalid. at offset: 2"),
        (b'["a\nb"]', "Invalid encoding in string. at offset: 3"),
        (b'["\xff"]', "not UTF-8"),
        (b'{"\xff": 1}', "not UTF-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused(body: bytes, says: str, padding: bytes) -> None:
    assert refusal(body + padding) == f"JSON Parse error: {says}"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
def test_only_utf_8_is_read(encoding: str) -> None:
    body = '{"a": "\N{SNOWMAN}"}'.encode(encoding)
    if encoding == "utf-8-sig":
        assert parse(body) == {"a": "\N{SNOWMAN}"}
    else:
        assert refusal(body).startswith("JSON Parse error: ")


def test_an_empty_body_has_tensorflow_servings_words() -> None:
    assert refusal(b"") == "JSON Parse error: The document is empty"


def test_lists_and_objects_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_parse, "MAX_CONTAINERS", 100_000)
    assert len(parse(b"[" + b"{}," * 99_998 + b"1]")) == 99_999
    with pytest.raises(ServingError, match="more than 100000 lists and objects") as error_info:
        parse(b"[" + b"{}," * 200_000 + b"1]")
    assert error_info.value.http_status == 413


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_python_writes_is_read_back(value: Any, large: bool) -> None:
    text = json.dumps(value)
    back = parse(text.encode() + (PADDING if large else b""))
    # Doubles are read to within an error of three units in their last place, as TensorFlow Serving reads them.
    _assert_equal(back, value)


def _assert_equal(have: Any, want: Any) -> None:
    assert type(have) is type(want)
    if isinstance(want, float):
        assert have == pytest.approx(want, rel=1e-15, abs=5e-324, nan_ok=True)
    elif isinstance(want, list):
        assert len(have) == len(want)
        for pair in zip(have, want, strict=True):
            _assert_equal(*pair)
    elif isinstance(want, dict):
        assert have.keys() == want.keys()
        for key in want:
            _assert_equal(have[key], want[key])
    else:
        assert have == want


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_do_worse_than_being_refused(body: bytes, large: bool) -> None:
    try:
        parse(body + (PADDING if large else b""))
    except ServingError as error:
        assert error.http_status == 400


def test_a_value_is_shown_by_its_beginning() -> None:
    assert show({"a": [1, None]}) == '{"a": [1, null]}'
    assert show("x" * 10**7) == '"' + "x" * 255 + "..."
    assert len(show([0] * 10**6)) == 256 + len("...")
    nested: Any = []
    for _ in range(900):
        nested = [nested]
    assert show(nested) == "[" * 256 + "..."
