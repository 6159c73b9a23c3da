"""Adds a trial's metrics to keras-tuner's metric history at a cost that does not grow with the history.

`MetricsTracker.update` searches all steps for the best before and after each report, for a result that `update_trial`
does not use: a trial of 1,000 steps took seconds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping, Sequence

from keras_tuner.src.engine import metrics_tracking
from keras_tuner.src.engine import objective as objective_module
from keras_tuner.src.engine import oracle as oracle_module

# keras-tuner's direction for an unknown metric.
_DEFAULT = "min"


def add(
    tracker: metrics_tracking.MetricsTracker,
    objective: objective_module.Objective,
    metrics: Mapping[str, float],
    step: int,
) -> None:
    """Updates the tracker as keras-tuner's `Oracle.update_trial` does with `countable` metrics.

    Args:
      tracker: the trial's metric history.
      objective: the search's objective.
      metrics: the reported metrics.
      step: their step.
    """
    for name, value in countable(objective, metrics).items():
        if not tracker.exists(name):
            direction = oracle_module._maybe_infer_direction_from_objective(objective, name)
            tracker.register(name, direction or _guessed(name) or _DEFAULT)
        tracker.metrics[name].update(float(value), step=step)


def make_known(tracker: metrics_tracking.MetricsTracker, names: Collection[str]) -> None:
    """Registers the metrics whose name would make keras-tuner's own `update_trial` raise."""
    for name in names:
        if not tracker.exists(name) and _guessed(name) is None:
            tracker.register(name, _DEFAULT)


def countable(objective: objective_module.Objective, metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics in a form in which the best objective can be found.

    An infinite objective becomes NaN, which is never the best. The sum of several objectives, by which keras-tuner
    scores a trial, is added if it was not reported.
    """
    counted = dict(metrics)
    if objective.name in metrics or objective.has_value(metrics):
        value = _value(objective, metrics)
        counted[objective.name] = value if math.isfinite(value) else math.nan
    return counted


def scores(
    objective: objective_module.Objective, reports: Sequence[tuple[int, Mapping[str, float]]]
) -> dict[int, float]:
    """The objective by step: the mean of the values reported for a step, by which keras-tuner scores a trial.

    Raises:
      KeyError: a report lacks the objective.
    """
    values: dict[int, list[float]] = {}
    for step, metrics in reports:
        values.setdefault(step, []).append(_value(objective, metrics))
    return {step: sum(of_step) / len(of_step) for step, of_step in values.items()}


@functools.lru_cache(maxsize=1_000)
def _guessed(name: str) -> str | None:
    """The direction that keras-tuner infers from a metric's name; None if it raises.

    It instantiates the Keras class of that name, which may be abstract or need arguments (MeanIoU).
    """
    try:
        return metrics_tracking.infer_metric_direction(name) or _DEFAULT
    except Exception:
        return None


def _value(objective: objective_module.Objective, metrics: Mapping[str, float]) -> float:
    return float(metrics[objective.name] if objective.name in metrics else objective.get_value(metrics))


def is_kept_as_usual(oracle: oracle_module.Oracle) -> bool:
    """Whether the oracle handles metrics as keras-tuner does: its `update_trial` is not overridden."""
    return getattr(oracle.update_trial, "__func__", None) is oracle_module.Oracle.update_trial
