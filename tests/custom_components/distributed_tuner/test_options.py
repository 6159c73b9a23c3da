"""The knobs of a search: what is refused, and that they survive their way as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.distributed_tuner.options import OptionsError, SearchOptions

NUMBERS = [field.name for field in dataclasses.fields(SearchOptions) if not isinstance(field.default, bool)]
SECONDS = [name for name in NUMBERS if name.endswith("_seconds")]
COUNTS = [name for name in NUMBERS if name not in SECONDS]
OPTIONAL = [field.name for field in dataclasses.fields(SearchOptions) if str(field.type).endswith("| None")]


@given(
    st.dictionaries(st.sampled_from(OPTIONAL), st.none() | st.integers(1, 10**6)),
    st.floats(0.001, 1000),
    st.floats(2, 1000),
)
def test_options_survive_json(values: dict[str, Any], heartbeat: float, beats: float) -> None:
    options = SearchOptions(**values, heartbeat_seconds=heartbeat, lease_seconds=heartbeat * beats)
    assert SearchOptions.from_json(options.to_json()) == options


def test_only_what_differs_from_the_default_is_stored() -> None:
    assert SearchOptions().to_json() == "{}"
    assert json.loads(SearchOptions(max_trial_seconds=5).to_json()) == {"max_trial_seconds": 5}
    assert json.loads(SearchOptions(max_worker_trials=None).to_json()) == {"max_worker_trials": None}
    assert SearchOptions.from_json(None) == SearchOptions.from_json("") == SearchOptions()


ODD = [0, -1, -0.5, "5", True, float("nan"), float("inf"), float("-inf"), []]


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", [*ODD, 1e9, 10**400])
def test_a_time_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    expected = rf"search option {name}: expected a number of seconds above 0 and at most 31622400 \(366 days\), got "
    with pytest.raises(OptionsError, match=expected + re.escape(repr(value))):
        SearchOptions(**{name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [*ODD, 0.5, 3.0])
def test_a_count_that_is_none_is_refused_by_name(name: str, value: Any) -> None:
    expected = rf"search option {name}: expected a whole number of at least 1, got {re.escape(repr(value))}"
    with pytest.raises(OptionsError, match=expected):
        SearchOptions(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_no_limit_is_for_limits_only(name: str) -> None:
    nothing: dict[str, Any] = {name: None}
    if name in OPTIONAL:
        assert getattr(SearchOptions(**nothing), name) is None
    else:
        with pytest.raises(OptionsError, match=name):
            SearchOptions(**nothing)


def test_stock_workers_are_let_in_only_where_a_limit_tells_that_one_died() -> None:
    with pytest.raises(OptionsError, match="allow_stock_workers: expected true or false, got 1"):
        SearchOptions(allow_stock_workers=1)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="allow_stock_workers: set max_trial_seconds too"):
        SearchOptions(allow_stock_workers=True)
    options = SearchOptions(allow_stock_workers=True, max_trial_seconds=60)
    assert SearchOptions.from_json(options.to_json()) == options


def test_a_lease_that_one_late_heartbeat_would_lose_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"lease_seconds: expected at least twice heartbeat_seconds \(4\), got 7"):
        SearchOptions(heartbeat_seconds=4, lease_seconds=7)
    assert SearchOptions(heartbeat_seconds=4, lease_seconds=8).lease_seconds == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "search options are no JSON"),
        ("[1]", "search options: expected a JSON object, got list"),
        ('{"lease": 3}', "unknown search option lease; known are .*lease_seconds"),
        ('{"lease_seconds": -3}', "search option lease_seconds: expected a number of seconds above 0 .*, got -3"),
        ('{"lease_seconds": Infinity}', "search option lease_seconds: .*, got inf"),
        ('{"max_failed_trials": 0.5}', "search option max_failed_trials: expected a whole number .*, got 0.5"),
    ],
)
def test_json_that_holds_no_options_says_why(text: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        SearchOptions.from_json(text)
