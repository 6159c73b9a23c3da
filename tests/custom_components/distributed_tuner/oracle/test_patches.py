"""Differences between states: any sequence of them, stored as JSON, leads to the last state."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.oracle import patches

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
# Few names, so that a state often shares keys with the next one; `json` is also the mark of frozen text.
names = st.sampled_from(["a", "b", "json", ""])
flat = st.lists(scalars, max_size=3) | st.dictionaries(names, scalars, max_size=3)
nested = scalars | flat | st.lists(flat, max_size=2) | st.dictionaries(names, flat, max_size=2)
states = st.dictionaries(names, nested, max_size=4)


def through_json(value: Any) -> Any:
    return json.loads(encoding.dumps(value))


@given(states)
def test_thaw_undoes_freeze(state: dict[str, Any]) -> None:
    assert patches.thaw(through_json(patches.freeze(state))) == state


@given(st.lists(states, min_size=1, max_size=6))
def test_patches_one_after_another_lead_to_the_last_state(sequence: list[dict[str, Any]]) -> None:
    before: patches.State = {}
    rebuilt: patches.State = {}
    for state in sequence:
        frozen = patches.freeze(state)
        patches.apply(rebuilt, through_json(patches.diff(before, frozen)))
        before = frozen
        assert patches.thaw(rebuilt) == state


@given(states)
def test_nothing_changed_is_an_empty_patch(state: dict[str, Any]) -> None:
    assert patches.diff(patches.freeze(state), patches.freeze(state)) == {}


def test_a_save_costs_what_changed() -> None:
    old = patches.freeze({"order": list(range(1000)), "hashes": {str(n): "x" for n in range(1000)}, "seed": 1})
    new = patches.freeze({"order": list(range(1001)), "hashes": {str(n): "x" for n in range(1, 1001)}, "seed": 1})
    assert patches.diff(old, new) == {"order": ["append", [1000]], "hashes": ["update", {"1000": "x"}, ["0"]]}


def test_later_changes_of_the_oracle_do_not_reach_a_frozen_state() -> None:
    state: dict[str, Any] = {"order": ["0"], "runs": {"0": 1}, "space": [{"name": "x"}]}
    frozen = patches.freeze(state)
    state["order"].append("1")
    state["runs"]["0"] = 2
    state["space"][0]["name"] = "y"
    assert patches.thaw(frozen) == {"order": ["0"], "runs": {"0": 1}, "space": [{"name": "x"}]}


def test_numpys_numbers_become_plain_ones() -> None:
    state = {"a": np.float32(0.5), "b": [np.int64(3)], "c": {"d": np.array([1, 2])}}
    assert patches.thaw(through_json(patches.freeze(state))) == {"a": 0.5, "b": [3], "c": {"d": [1, 2]}}


def test_what_has_no_place_in_json_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="set has no place in a stored search"):
        patches.freeze({"a": {"b": {1, 2}}})
