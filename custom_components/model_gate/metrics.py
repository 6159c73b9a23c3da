"""TFMA metrics that skip no row, and a comparison with the baseline that also works at 0.

TFMA 0.46's own mean absolute error skips each row with a NaN, so that a model that fails on half of its rows is judged
by the other half. Its change thresholds also require a ratio, which is NaN where the baseline's value is 0, so that no
candidate passes; a relative threshold lets a worse candidate through where the values are negative.

A `tfma.MetricConfig` names these classes with `module=metrics.__name__`, and its thresholds are `value_threshold`s.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types, metric_util

MEAN_ABSOLUTE_ERROR = "mean_absolute_error"
ROOT_MEAN_SQUARED_ERROR = "root_mean_squared_error"
UNPREDICTED = "unpredicted"
WORSENING = "worsening"

_ERRORS = "_errors"  # TFMA does not write metrics with such a prefix.

Metrics: TypeAlias = Mapping[metric_types.MetricKey, Any]


@dataclasses.dataclass
class Errors:
    """Sums over rows: their weights, absolute and squared errors; and the number of rows without a prediction."""

    weight: float = 0.0
    absolute: float = 0.0
    squared: float = 0.0
    unpredicted: int = 0

    def add(self, label: float, prediction: float, weight: float) -> None:
        """Adds a row; a prediction that is NaN or infinite counts as missing."""
        error = prediction - label
        self.weight += weight
        self.absolute += weight * abs(error)
        self.squared += weight * (error * error)  # Infinite if too large; ** would raise OverflowError.
        self.unpredicted += not math.isfinite(prediction)

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.weight + other.weight,
            self.absolute + other.absolute,
            self.squared + other.squared,
            self.unpredicted + other.unpredicted,
        )

    def mean_absolute(self) -> float:
        """NaN or infinite if a row has no prediction, and NaN if there are no rows."""
        return self.absolute / self.weight if self.weight else math.nan

    def root_mean_squared(self) -> float:
        """Like `mean_absolute`; also infinite if the square of an error is."""
        return math.sqrt(self.squared / self.weight) if self.weight else math.nan


class MeanAbsoluteErrorOfAll(tfma.metrics.Metric):
    """The mean of |prediction - label| over all rows; not finite if one prediction is not."""

    def __init__(self, name: str = MEAN_ABSOLUTE_ERROR) -> None:
        """`name` is the name of the metric."""
        super().__init__(metric_util.merge_per_key_computations(_mean_absolute), name=name)


class RootMeanSquaredErrorOfAll(tfma.metrics.Metric):
    """The root of the mean of (prediction - label)^2 over all rows; not finite if one prediction is not."""

    def __init__(self, name: str = ROOT_MEAN_SQUARED_ERROR) -> None:
        """`name` is the name of the metric."""
        super().__init__(metric_util.merge_per_key_computations(_root_mean_squared), name=name)


class Unpredicted(tfma.metrics.Metric):
    """The number of rows whose prediction is not finite."""

    def __init__(self, name: str = UNPREDICTED) -> None:
        """`name` is the name of the metric."""
        super().__init__(metric_util.merge_per_key_computations(_unpredicted), name=name)


class Worsening(tfma.metrics.Metric):
    """By how much the candidate is worse than the baseline in another metric, in its unit; negative if it is better.

    The other metric comes before this one in the list. See `worsening`.
    """

    def __init__(
        self, metric: str = MEAN_ABSOLUTE_ERROR, higher_is_better: bool = False, name: str = WORSENING
    ) -> None:
        """`metric` is the name of the other one, `name` of this one."""
        computations = metric_util.merge_per_key_computations(_worsening)
        super().__init__(computations, metric=metric, higher_is_better=higher_is_better, name=name)


def worsening(candidate: float, baseline: float | None, higher_is_better: bool = False) -> float:
    """By how much `candidate` is worse than `baseline`: their difference, not a ratio.

    Infinite if the candidate's value is not finite; minus infinity if there is no baseline, or its value is not finite,
    since then there is nothing to preserve.

    Args:
      candidate: the metric's value for the candidate.
      baseline: its value for the baseline, None if there is none.
      higher_is_better: whether larger values are better.
    """
    if not math.isfinite(candidate):
        return math.inf
    if baseline is None or not math.isfinite(baseline):
        return -math.inf
    return baseline - candidate if higher_is_better else candidate - baseline


class _Combiner(beam.CombineFn):
    """Sums the errors of one model's predictions."""

    def __init__(self, key: metric_types.MetricKey, eval_config: tfma.EvalConfig | None, weighted: bool) -> None:
        self._key = key
        self._eval_config = eval_config
        self._weighted = weighted

    def create_accumulator(self) -> Errors:
        return Errors()

    def add_input(self, accumulator: Errors, element: metric_types.StandardMetricInputs) -> Errors:
        rows = metric_util.to_label_prediction_example_weight(
            element,
            eval_config=self._eval_config,
            model_name=self._key.model_name,
            output_name=self._key.output_name,
            example_weighted=self._weighted,
        )
        for label, prediction, weight in rows:
            accumulator.add(float(label.item()), float(prediction.item()), float(weight.item()))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Errors]) -> Errors:
        return sum(accumulators, Errors())

    def extract_output(self, accumulator: Errors) -> dict[metric_types.MetricKey, Errors]:
        return {self._key: accumulator}


def _derived(
    name: str,
    value: Any,
    eval_config: tfma.EvalConfig | None,
    model_name: str,
    output_name: str,
    example_weighted: bool,
) -> list[Any]:
    place = {"model_name": model_name, "output_name": output_name, "example_weighted": example_weighted}
    errors, key = metric_types.MetricKey(_ERRORS, **place), metric_types.MetricKey(name, **place)

    def result(metrics: Metrics) -> Metrics:
        return {key: value(metrics[errors])}

    return [
        metric_types.MetricComputation(
            keys=[errors], preprocessors=None, combiner=_Combiner(errors, eval_config, example_weighted)
        ),
        metric_types.DerivedMetricComputation(keys=[key], result=result),
    ]


# TFMA looks at the names of the parameters.


def _mean_absolute(
    name: str,
    eval_config: tfma.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> list[Any]:
    return _derived(name, Errors.mean_absolute, eval_config, model_name, output_name, example_weighted)


def _root_mean_squared(
    name: str,
    eval_config: tfma.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> list[Any]:
    return _derived(name, Errors.root_mean_squared, eval_config, model_name, output_name, example_weighted)


def _unpredicted(
    name: str,
    eval_config: tfma.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> list[Any]:
    return _derived(
        name, lambda errors: float(errors.unpredicted), eval_config, model_name, output_name, example_weighted
    )


def _worsening(
    name: str,
    metric: str,
    higher_is_better: bool,
    eval_config: tfma.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> list[Any]:
    specs = eval_config.model_specs if eval_config else []
    baseline = next((str(spec.name) for spec in specs if spec.is_baseline), None)
    if model_name == baseline:
        return []
    key = metric_types.MetricKey(name, model_name, output_name, example_weighted=example_weighted)

    def result(metrics: Metrics) -> Metrics:
        compared = key._replace(name=metric)
        before = None if baseline is None else float(metrics[compared.make_baseline_key(baseline)])
        return {key: worsening(float(metrics[compared]), before, higher_is_better)}

    return [metric_types.DerivedMetricComputation(keys=[key], result=result)]
