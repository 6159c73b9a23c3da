"""Hyperparameters and scores on axes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.distributed_tuner.record.record import Direction, HyperparameterValue
from custom_components.distributed_tuner.report import axes

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(-1e12, 1e12),
    st.sampled_from([math.inf, -math.inf]),
    st.text(max_size=30),
)


@given(st.lists(VALUES, min_size=1, max_size=60))
def test_every_value_has_a_place_on_its_axis(values: list[HyperparameterValue | None]) -> None:
    axis = axes.hyperparameter_axis("x", values)
    assert len(axis.positions) == len(values)
    assert all(0 <= position <= 1 for position in axis.positions)
    assert all(-1e-9 <= tick.position <= 1 + 1e-9 for tick in axis.ticks)
    assert len(axis.ticks) <= 16


@given(st.lists(st.floats(1e-9, 1e9), min_size=30, max_size=60, unique=True))
def test_a_numeric_axis_keeps_the_order_of_the_values(values: list[float]) -> None:
    positions = axes.hyperparameter_axis("x", values).positions
    by_value = [position for _, position in sorted(zip(values, positions, strict=True))]
    assert by_value == sorted(by_value)
    assert min(positions) == pytest.approx(0)
    assert max(positions) == pytest.approx(1)


def test_few_numbers_that_recur_are_evenly_spaced_choices_in_order() -> None:
    axis = axes.hyperparameter_axis("learning_rate", [0.5, 1e-4, 1e-2] * 4)
    assert [tick.label for tick in axis.ticks] == ["0.0001", "0.01", "0.5"]
    low, middle, high = (tick.position for tick in axis.ticks)
    assert middle - low == pytest.approx(high - middle)


def test_spread_out_positive_numbers_get_a_logarithmic_scale() -> None:
    axis = axes.hyperparameter_axis("rate", [10 ** (-5 + index / 10) for index in range(41)])
    assert [tick.label for tick in axis.ticks] == ["1e-05", "0.0001", "0.001", "0.01", "0.1"]
    assert axis.positions[20] == pytest.approx(0.5)


def test_uniform_numbers_with_one_close_to_nought_keep_a_linear_scale() -> None:
    axis = axes.hyperparameter_axis("momentum", [0.001, *(index / 40 for index in range(1, 40))])
    assert axis.positions[20] == pytest.approx(0.5, abs=0.02)


def test_a_missing_value_lies_below_all_others_and_says_so() -> None:
    axis = axes.hyperparameter_axis("momentum", [0.9, None, 0.5, None])
    assert axis.ticks[0] == axes.Tick(0.0, axes.NOT_SET)
    assert axis.positions[1] == axis.positions[3] == 0.0
    assert min(axis.positions[0], axis.positions[2]) > 0.1


def test_a_constant_is_one_choice_in_the_middle() -> None:
    axis = axes.hyperparameter_axis("x", [7, 7.0, 7])
    assert axis.ticks == (axes.Tick(0.5, "7"),)
    assert axis.positions == pytest.approx((0.5, 0.5, 0.5), abs=0.05)


def test_booleans_are_not_numbers() -> None:
    axis = axes.hyperparameter_axis("x", [True, 1, False, 0])
    assert {tick.label for tick in axis.ticks} == {"True", "1", "False", "0"}


def test_many_categories_show_some_of_their_names() -> None:
    axis = axes.hyperparameter_axis("x", [f"name-{index:03}" for index in range(300)])
    assert 5 <= len(axis.ticks) <= 14
    assert len(set(axis.positions)) == 300


@pytest.mark.parametrize(
    ("direction", "scores", "bounds"),
    [
        (Direction.MIN, [1.0, 2.0, 3.0, 4.0, 5.0, 1e9], (1.0, 5.0)),
        (Direction.MAX, [-1e9, 1.0, 2.0, 3.0, 4.0, 5.0], (1.0, 5.0)),
        (Direction.MIN, [-1e9, 1.0, 2.0, 3.0, 4.0, 5.0], (-1e9, 5.0)),  # a far better score is never cut off
        (Direction.MIN, [2.0, 2.0, 2.0, 2.0, 9.0], (2.0, 9.0)),
        (Direction.MAX, [3.0], (3.0, 3.0)),
    ],
)
def test_bounds_cut_only_far_worse_scores(
    direction: Direction, scores: list[float], bounds: tuple[float, float]
) -> None:
    assert axes.readable_bounds(scores, direction) == bounds


def test_a_score_beyond_the_bounds_sits_at_the_end_whose_tick_says_so() -> None:
    axis = axes.score_axis("loss", [1.0, 5.0, 1e9], (1.0, 5.0))
    assert axis.positions == (0.0, 1.0, 1.0)
    assert axis.ticks[-1] == axes.Tick(1.0, "≥ 5")
    below = axes.score_axis("accuracy", [0.2, 0.6, 0.9], (0.6, 0.9))
    assert below.positions[0] == 0.0
    assert below.ticks[0] == axes.Tick(0.0, "≤ 0.6")


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_round_steps_stay_within_and_are_few(low: float, span: float) -> None:
    steps = axes.round_steps(low, low + span)
    assert 1 <= len(steps) <= 14
    assert all(low - span * 1e-6 <= step <= low + span * (1 + 1e-6) for step in steps)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("hidden_layers", ["hidden_layers"]),
        ("val_mean_absolute_error", ["val_mean_", "absolute_error"]),
        ("a" * 30, ["a" * 17 + "…"]),
    ],
)
def test_long_names_break_after_a_separator(name: str, lines: list[str]) -> None:
    assert axes.name_lines(name) == lines
