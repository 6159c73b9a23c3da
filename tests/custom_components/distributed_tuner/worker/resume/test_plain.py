"""Values without pickle."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import hypothesis.extra.numpy as hypothesis_numpy
import keras_tuner as kt
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from custom_components.distributed_tuner.worker.resume import plain

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
arrays = hypothesis_numpy.arrays(
    st.sampled_from(["float32", "float64", "int64", "uint8", "bool", "<U3"]), hypothesis_numpy.array_shapes(max_side=3)
)
numbers = st.floats(width=32).map(np.float32) | st.floats().map(np.float64) | st.integers(0, 255).map(np.uint8)
values = st.recursive(
    scalars | arrays | numbers | st.booleans().map(np.bool_),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def through_a_file(arrays: plain.Arrays) -> plain.Arrays:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    buffer.seek(0)
    return dict(np.load(buffer, allow_pickle=False))


@given(values)
def test_what_comes_back_is_the_same_to_the_bit(value: Any) -> None:
    assert plain.is_plain(value)
    text, arrays = plain.encode(value)
    back = plain.decode(text, through_a_file(arrays))
    assert repr(back) == repr(value) and type(back) is type(value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"scalar":["V1000000000000000",5]}', '{"scalar":["<M8",1]}'])
def test_what_encode_would_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        plain.decode(text, {})


@given(values, values)
def test_same_means_the_same_text_and_arrays(left: Any, right: Any) -> None:
    if plain.same(left, right):
        assert repr(left) == repr(right) or left == right


@given(values)
@example(np.float32("nan"))
def test_a_mark_is_the_same_as_that_of_a_copy(value: Any) -> None:
    assert plain.same(plain.mark(value), plain.mark(copy.deepcopy(value)))


@given(values, values)
def test_other_values_have_other_marks(left: Any, right: Any) -> None:
    if plain.same(plain.mark(left), plain.mark(right)):
        assert repr(left) == repr(right) or left == right


@pytest.mark.parametrize("place", [0, 2, 700_000, -1])
def test_each_element_of_an_array_counts_in_its_mark(place: int) -> None:
    value = np.zeros((2, 400_000), "float32").T
    before = plain.mark({"rows": [value]})
    value.reshape(-1, order="F")[place] = 1.0
    assert not plain.same(before, plain.mark({"rows": [value]}))


def test_a_mark_does_not_hold_an_array_or_what_changes_with_the_value() -> None:
    value: dict[str, Any] = {"rows": np.full(3, np.nan), "seen": [1, (2, [3])]}
    before = plain.mark(value)
    assert not isinstance(before["rows"], np.ndarray)
    assert plain.same(before, plain.mark(value)), "no number equals itself less than these"
    value["seen"][1][1].append(4)
    assert before["seen"] == [1, (2, [3])]


def test_the_configuration_of_a_conditional_hyperparameter_is_plain() -> None:
    space = kt.HyperParameters()
    space.Boolean("deep")
    with space.conditional_scope("deep", [True]):
        space.Choice("units", [3, 5])
    value = {"result": {"history": {"loss": [0.1]}}, "hyperparameters": space.get_config()}
    assert plain.decode(*plain.encode(value)) == value and plain.is_plain(value)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, [print], {"a": object()}, np.array([object()]), {(1, 2): 3}, 1j, np.longdouble(1)]
)
def test_what_would_need_pickle_is_refused(value: Any) -> None:
    assert not plain.is_plain(value)
    with pytest.raises(TypeError, match="not plain"):
        plain.encode(value if not isinstance(value, dict) or (1, 2) not in value else print)


def test_same_tells_types_and_contents_apart() -> None:
    assert plain.same([math.nan, (1, {"a": np.arange(3)})], [math.nan, (1, {"a": np.arange(3)})])
    for other in (1.0, True, np.float32(1), "1", [1]):
        assert not plain.same(1, other)
    assert not plain.same(np.zeros(2, "float32"), np.zeros(2, "float64"))
    assert not plain.same({"a": 1}, {"b": 1})


@pytest.mark.parametrize("text", ["", "{", '{"array":"a7"}', '{"what":1}', '{"scalar":["zz",1]}', '{"dict":[1]}', "{}"])
def test_other_text_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        plain.decode(text, {})
