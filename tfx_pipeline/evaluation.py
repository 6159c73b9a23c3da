"""The gate: what TFMA measures on the test split, what passes, and a verdict in one line."""

from __future__ import annotations

import dataclasses

import tensorflow_model_analysis as tfma

SPLIT = "test"
SIGNATURE = "serving_examples"
MAE = "mean_absolute_error"
RMSE = "root_mean_squared_error"


def eval_config(label_key: str, max_mae: float, max_worsening: float) -> tfma.EvalConfig:
    """TFMA's configuration: MAE and RMSE over the whole split, with thresholds on the MAE.

    The thresholds name the overall slice: written the plain way they would apply to every slice that is ever added,
    and small slices scatter widely.

    Args:
      label_key: feature with the true value.
      max_mae: largest MAE that passes, in the label's unit.
      max_worsening: by how much the MAE may exceed the baseline's, in the label's unit.
    """
    overall = tfma.SlicingSpec()
    threshold = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(upper_bound={"value": max_mae}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.LOWER_IS_BETTER, absolute={"value": max_worsening}
        ),
    )
    gate = tfma.PerSliceMetricThreshold(slicing_specs=[overall], threshold=threshold)
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name=SIGNATURE, label_key=label_key)],
        slicing_specs=[overall],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(class_name="MeanAbsoluteError", per_slice_thresholds=[gate]),
                    tfma.MetricConfig(class_name="RootMeanSquaredError"),
                    tfma.MetricConfig(class_name="ExampleCount"),
                ]
            )
        ],
    )


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the gate found on the test split. Errors are in seconds; `baseline_mae` is None in a first run."""

    passed: bool
    mae: float
    rmse: float
    baseline_mae: float | None
    max_mae: float
    max_worsening: float

    def line(self) -> str:
        """The verdict in one line, with the reason of a refusal."""
        found = f"MAE {self.mae:.1f} s, RMSE {self.rmse:.1f} s on the test split"
        if self.passed:
            baseline = "" if self.baseline_mae is None else f", the last blessed model's {self.baseline_mae:.1f} s"
            return f"The gate let the model through: {found} (limit {self.max_mae:g} s{baseline})"
        reasons = []
        if not self.mae <= self.max_mae:
            reasons.append(f"the MAE is above the limit of {self.max_mae:g} s (MAX_MAE_SECONDS)")
        if self.baseline_mae is not None and not self.mae - self.baseline_mae <= self.max_worsening:
            reasons.append(
                f"the last blessed model's MAE of {self.baseline_mae:.1f} s is better by "
                f"{self.mae - self.baseline_mae:.1f} s (MAX_WORSENING_SECONDS allows {self.max_worsening:g} s)"
            )
        return f"The gate refused the model: {found}; {' and '.join(reasons) or 'TFMA could not check its thresholds'}"


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
        mae=candidate[MAE],
        rmse=candidate[RMSE],
        baseline_mae=baseline.get(MAE),
        max_mae=max_mae,
        max_worsening=max_worsening,
    )
