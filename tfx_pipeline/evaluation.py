"""The gate: what TFMA measures on the test split, what passes, and the verdict in one line."""

from __future__ import annotations

import dataclasses
import math

import tensorflow_model_analysis as tfma

from custom_components.model_gate import metrics

SPLIT = "test"
SIGNATURE = "serving_examples"
COUNT = "example_count"

_MANY = 1e7  # Beyond this, seconds get three significant digits: a diverged model's error may have hundreds.


def eval_config(label_key: str, max_mae: float, max_worsening: float) -> tfma.EvalConfig:
    """TFMA's configuration: MAE and RMSE over the whole split, with thresholds on the MAE; each row needs a prediction.

    The thresholds name the overall slice: otherwise they would apply to every slice that is ever added, and small
    slices scatter widely.

    Args:
      label_key: feature with the true value.
      max_mae: largest MAE that passes, in the label's unit.
      max_worsening: by how much the MAE may exceed the baseline's, in the label's unit.
    """
    overall = tfma.SlicingSpec()

    def metric(kind: type[tfma.metrics.Metric], at_most: float | None = None) -> tfma.MetricConfig:
        config = tfma.MetricConfig(class_name=kind.__name__, module=kind.__module__)
        if at_most is not None:
            bound = tfma.GenericValueThreshold(upper_bound={"value": at_most})
            gate = config.per_slice_thresholds.add(threshold=tfma.MetricThreshold(value_threshold=bound))
            gate.slicing_specs.append(overall)
        return config

    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name=SIGNATURE, label_key=label_key)],
        slicing_specs=[overall],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    metric(metrics.MeanAbsoluteErrorOfAll, max_mae),
                    metric(metrics.RootMeanSquaredErrorOfAll),
                    metric(metrics.Unpredicted, 0),
                    metric(metrics.Worsening, max_worsening),
                    tfma.MetricConfig(class_name="ExampleCount"),
                ]
            )
        ],
    )


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the gate found on the test split. Errors are in seconds; `baseline_mae` is None in a first run."""

    passed: bool
    rows: int
    unpredicted: int
    mae: float
    rmse: float
    baseline_mae: float | None
    max_mae: float
    max_worsening: float

    def line(self) -> str:
        """The verdict in one line, with the reason for a refusal."""
        if not self.rows:
            return f"The gate refused the model: the {SPLIT} split has no rows, so there is nothing to judge it by"
        if self.unpredicted:
            return (
                f"The gate refused the model: for {self.unpredicted} of the {self.rows} rows of the {SPLIT} split it "
                "predicts NaN or infinity"
            )
        found = f"MAE {seconds(self.mae)}, RMSE {seconds(self.rmse)} on the {SPLIT} split"
        if self.passed:
            return f"The gate let the model through: {found} (limit {self.max_mae:g} s{self._baseline()})"
        return f"The gate refused the model: {found}; {' and '.join(self._reasons()) or 'TFMA gives no reason'}"

    def _baseline(self) -> str:
        if self.baseline_mae is None:
            return ""
        if not math.isfinite(self.baseline_mae):
            return ", the last blessed model predicts NaN or infinity"
        return f", the last blessed model's {seconds(self.baseline_mae)}"

    def _reasons(self) -> list[str]:
        reasons = []
        if not math.isfinite(self.mae):
            reasons.append("a label is NaN or infinite, or the errors are too large to add up")
        elif self.mae > self.max_mae:
            reasons.append(f"the MAE is above the limit of {self.max_mae:g} s (MAX_MAE_SECONDS)")
        if self.baseline_mae is not None:
            worse = metrics.worsening(self.mae, self.baseline_mae)
            if math.isfinite(worse) and worse > self.max_worsening:
                reasons.append(
                    f"the last blessed model's MAE of {seconds(self.baseline_mae)} is better by {seconds(worse)} "
                    f"(MAX_WORSENING_SECONDS allows {self.max_worsening:g} s)"
                )
        return reasons


def seconds(value: float) -> str:
    """An error as text."""
    return f"{value:.1f} s" if abs(value) < _MANY else f"{value:.3g} s"


def read_verdict(evaluation_uri: str, max_mae: float, max_worsening: float) -> Verdict:
    """Reads what an Evaluator with `eval_config` wrote.

    Args:
      evaluation_uri: directory of its `evaluation` artifact.
      max_mae: as given to `eval_config`.
      max_worsening: as given to `eval_config`.
    """
    candidate: dict[str, float] = {}
    baseline: dict[str, float] = {}
    for slice_metrics in tfma.load_metrics(evaluation_uri):
        if slice_metrics.slice_key.single_slice_keys:
            continue
        for item in slice_metrics.metric_keys_and_values:
            if item.key.is_diff:
                continue
            values = baseline if item.key.model_name == tfma.BASELINE_KEY else candidate
            values[item.key.name] = item.value.double_value.value
    return Verdict(
        passed=tfma.load_validation_result(evaluation_uri).validation_ok,
        # TFMA writes no metrics at all for a split without rows.
        rows=int(candidate.get(COUNT, 0)),
        unpredicted=int(candidate.get(metrics.UNPREDICTED, 0)),
        mae=candidate.get(metrics.MEAN_ABSOLUTE_ERROR, math.nan),
        rmse=candidate.get(metrics.ROOT_MEAN_SQUARED_ERROR, math.nan),
        baseline_mae=baseline.get(metrics.MEAN_ABSOLUTE_ERROR),
        max_mae=max_mae,
        max_worsening=max_worsening,
    )
