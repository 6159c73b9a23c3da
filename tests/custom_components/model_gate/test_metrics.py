"""The gate's metrics; how TFMA computes them with a real model is tested with the pipeline's gate."""

from __future__ import annotations

import math

import pytest

from custom_components.model_gate.metrics import Errors, worsening


def errors(*rows: tuple[float, float], weight: float = 1.0) -> Errors:
    total = Errors()
    for label, prediction in rows:
        total.add(label, prediction, weight)
    return total


def test_errors_are_means_over_the_rows() -> None:
    total = errors((100, 103), (100, 99), (100, 100), (100, 100))
    assert (total.mean_absolute(), total.root_mean_squared(), total.unpredicted) == (1.0, math.sqrt(2.5), 0)


def test_parts_add_up_to_the_whole() -> None:
    parts = [errors((1, 3)), errors(), errors((5, 4), (2, 2))]
    assert sum(parts, Errors()) == errors((1, 3), (5, 4), (2, 2))


def test_a_row_counts_by_its_weight() -> None:
    total = errors((10, 14), weight=3.0) + errors((10, 10), weight=1.0)
    assert total.mean_absolute() == 3.0


@pytest.mark.parametrize("prediction", [math.nan, math.inf, -math.inf])
def test_a_prediction_that_is_not_finite_is_never_left_out(prediction: float) -> None:
    total = errors((100, 100), (100, prediction))
    assert total.unpredicted == 1
    assert not math.isfinite(total.mean_absolute())
    assert not math.isfinite(total.root_mean_squared())


@pytest.mark.parametrize("prediction", [1e200, -1e308])
def test_a_huge_prediction_has_a_huge_error(prediction: float) -> None:
    total = errors((100, 100), (100, prediction))
    assert total.unpredicted == 0
    assert total.mean_absolute() == abs(prediction) / 2
    assert total.root_mean_squared() == math.inf
    assert errors(*[(0, prediction)] * 20).mean_absolute() in (math.inf, pytest.approx(1e200))


def test_no_rows_have_no_error() -> None:
    assert math.isnan(Errors().mean_absolute())
    assert math.isnan(Errors().root_mean_squared())


@pytest.mark.parametrize(
    ("values", "higher_is_better", "expected"),
    [
        ((12.0, 10.0), False, 2.0),
        ((9.0, 10.0), False, -1.0),
        ((0.0, 0.0), False, 0.0),
        ((1.0, 0.0), False, 1.0),
        ((0.5, 0.7), True, pytest.approx(0.2)),
        ((-12.0, -10.0), True, 2.0),  # A relative threshold of TFMA would let this one through.
        ((-8.0, -10.0), True, -2.0),
        ((-8.0, -10.0), False, 2.0),
        ((5.0, None), False, -math.inf),
        ((5.0, math.nan), False, -math.inf),
        ((5.0, math.inf), False, -math.inf),
        ((math.nan, 5.0), False, math.inf),
        ((math.nan, math.nan), True, math.inf),
        ((math.inf, None), True, math.inf),
    ],
)
def test_worsening_is_a_difference(values: tuple[float, float | None], higher_is_better: bool, expected: float) -> None:
    candidate, baseline = values
    assert worsening(candidate, baseline, higher_is_better) == expected
