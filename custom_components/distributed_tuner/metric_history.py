"""Metrics of a trial, put into keras-tuner's history of them at a cost that does not grow with the history.

`MetricsTracker.update` looks up the best of all steps before and after each report, for an answer that `update_trial`
does not use: a trial of 1,000 steps took seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras_tuner.src.engine import metrics_tracking
from keras_tuner.src.engine import objective as objective_module
from keras_tuner.src.engine import oracle as oracle_module


def add(
    tracker: metrics_tracking.MetricsTracker,
    objective: objective_module.Objective,
    metrics: Mapping[str, float],
    step: int,
) -> None:
    """Leaves the tracker as keras-tuner's `Oracle.update_trial` does."""
    for name, value in metrics.items():
        number = float(value)
        if not tracker.exists(name):
            tracker.register(name, oracle_module._maybe_infer_direction_from_objective(objective, name))
        tracker.metrics[name].update(number, step=step)


def is_kept_as_usual(oracle: oracle_module.Oracle) -> bool:
    """Whether the oracle does with metrics what keras-tuner does: its `update_trial` is nobody's own."""
    return getattr(oracle.update_trial, "__func__", None) is oracle_module.Oracle.update_trial
