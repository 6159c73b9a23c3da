"""The gate's thresholds and its verdict in words."""

from __future__ import annotations

import tensorflow_model_analysis as tfma

from tfx_pipeline import evaluation
from tfx_pipeline.evaluation import Verdict


def verdict(**more: float | bool | None) -> Verdict:
    values = {
        "passed": False,
        "mae": 300.0,
        "rmse": 400.0,
        "baseline_mae": None,
        "max_mae": 600.0,
        "max_worsening": 0.0,
    }
    return Verdict(**{**values, **more})  # type: ignore[arg-type]


def test_thresholds_are_on_the_overall_mae_only() -> None:
    config = evaluation.eval_config("duration", 600, 5)
    (metrics,) = config.metrics_specs
    gated = [metric for metric in metrics.metrics if metric.per_slice_thresholds or metric.HasField("threshold")]
    (mae,) = gated
    assert mae.class_name == "MeanAbsoluteError"
    (gate,) = mae.per_slice_thresholds
    assert list(gate.slicing_specs) == [tfma.SlicingSpec()]
    assert gate.threshold.value_threshold.upper_bound.value == 600
    assert gate.threshold.change_threshold.absolute.value == 5
    assert gate.threshold.change_threshold.direction == tfma.MetricDirection.LOWER_IS_BETTER


def test_a_pass_names_limit_and_baseline() -> None:
    assert verdict(passed=True).line() == (
        "The gate let the model through: MAE 300.0 s, RMSE 400.0 s on the test split (limit 600 s)"
    )
    assert "the last blessed model's 310.0 s" in verdict(passed=True, baseline_mae=310.0).line()


def test_a_refusal_names_what_was_measured_and_what_was_allowed() -> None:
    line = verdict(max_mae=250.0).line()
    assert line.startswith("The gate refused the model: MAE 300.0 s")
    assert "above the limit of 250 s (MAX_MAE_SECONDS)" in line
    line = verdict(baseline_mae=290.0).line()
    assert "the last blessed model's MAE of 290.0 s is better by 10.0 s (MAX_WORSENING_SECONDS allows 0 s)" in line
    assert "limit" not in line
    both = verdict(max_mae=250.0, baseline_mae=290.0).line()
    assert "250 s" in both
    assert "290.0 s" in both
    assert "\n" not in both


def test_a_model_whose_error_is_no_number_is_refused_for_that() -> None:
    assert "above the limit" in verdict(mae=float("nan")).line()
