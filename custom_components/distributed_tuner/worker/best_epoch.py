"""The best epoch of a fit, among those with a finite objective.

A metric may be undefined at first: an F1 score while nothing is predicted positive, a correlation with a constant.
keras-tuner 1.4.7 starts its comparison at the first epoch, so that a NaN there stays the best; and an infinite value
of the right sign beats every number.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from keras_tuner.src.backend import keras
from keras_tuner.src.engine import objective as objective_module
from keras_tuner.src.engine import tuner_utils

from custom_components.distributed_tuner.oracle import missing_objective, not_finite

_LOG = logging.getLogger(__name__)

_AFTER = "after epoch"


def best(history: Any, objective: objective_module.Objective) -> tuple[dict[str, float], int]:
    """Finds the best epoch of a `History`.

    Args:
      history: the `History`.
      objective: one or several objectives.

    Returns:
      (the metrics after that epoch, including the combined value of several objectives; its index in the history).

    Raises:
      ValueError: no epoch has a finite objective, or not every epoch has one; the message says which.
    """
    epochs = _epochs(history, objective)
    scores = [float(objective.get_value(metrics)) for metrics in epochs]
    found: int | None = None
    for index, score in enumerate(scores):
        if math.isfinite(score) and (found is None or objective.better_than(score, scores[found])):
            found = index
    if found is None:
        raise ValueError(not_finite.reason(objective.name, _not_finite(history, scores), after=_AFTER))
    return {**epochs[found], objective.name: scores[found]}, found


@contextlib.contextmanager
def chosen() -> Iterator[None]:
    """Within it keras-tuner scores a trial by its best finite epoch, and saves weights only of finite epochs."""
    original = {name: getattr(tuner_utils, name) for name in ("convert_to_metrics_dict", "get_best_step")}
    original["_get_best_value_and_best_epoch_from_history"] = tuner_utils._get_best_value_and_best_epoch_from_history
    saver = tuner_utils.SaveBestEpoch
    save = saver.on_epoch_end

    def convert(results: Any, objective: objective_module.Objective) -> dict[str, float]:
        if not isinstance(results, list):
            return dict(original["convert_to_metrics_dict"](results, objective))
        return tuner_utils.average_metrics_dicts(_executions(results, objective))

    def step(results: Any, objective: objective_module.Objective) -> int:
        if isinstance(results, keras.callbacks.History):
            _tell(results, objective)
        return int(original["get_best_step"](results, objective))

    def save_finite(self: Any, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if not logs or not self.objective.has_value(logs) or math.isfinite(self.objective.get_value(logs)):
            save(self, epoch, logs)

    def put(functions: Mapping[str, Any], on_epoch_end: Any) -> None:
        for name, function in functions.items():
            setattr(tuner_utils, name, function)
        saver.on_epoch_end = on_epoch_end

    ours = {"convert_to_metrics_dict": convert, "get_best_step": step}
    put({**ours, "_get_best_value_and_best_epoch_from_history": best}, save_finite)
    try:
        yield
    finally:
        put(original, save)


def _epochs(history: Any, objective: objective_module.Objective) -> list[dict[str, float]]:
    reported: Mapping[str, list[float]] = history.history
    if not objective.has_value(reported):
        raise ValueError(missing_objective.reason(objective, reported))
    count = max(map(len, reported.values()))
    if any(len(reported[part.name]) < count for part in missing_objective.parts(objective)):
        raise missing_objective.IncompleteObjective(
            f"the fit reported {objective.name!r} not after each of its epochs, as keras-tuner needs it: "
            "validation_freq must be 1"
        )
    if not count:
        raise ValueError("the fit trained no epoch")
    return [{name: values[index] for name, values in reported.items() if index < len(values)} for index in range(count)]


def _executions(results: list[Any], objective: objective_module.Objective) -> list[dict[str, float]]:
    """The metrics of each execution. keras-tuner scores a trial by their mean, which a single NaN would spoil."""
    converted = []
    for number, result in enumerate(results, start=1):
        try:
            metrics = tuner_utils.convert_to_metrics_dict(result, objective)
            if objective.has_value(metrics) and not math.isfinite(value := objective.get_value(metrics)):
                raise ValueError(not_finite.reason(objective.name, [(0, value)]))
        except ValueError as error:
            if len(results) == 1:
                raise
            raise ValueError(f"execution {number} of {len(results)}: {error}") from error
        converted.append(metrics)
    return converted


def _tell(history: Any, objective: objective_module.Objective) -> None:
    scores = [float(objective.get_value(metrics)) for metrics in _epochs(history, objective)]
    if left_out := _not_finite(history, scores):
        _LOG.warning(
            "the objective %r was %s: those epochs do not count",
            objective.name,
            not_finite.spans(left_out, after=_AFTER),
        )


def _not_finite(history: Any, scores: list[float]) -> list[tuple[int, float]]:
    """(epoch, counted from 1 as Keras shows them, score) of the epochs whose score is not finite."""
    known = len(history.epoch) == len(scores) if hasattr(history, "epoch") else False
    return [
        ((history.epoch[index] if known else index) + 1, score)
        for index, score in enumerate(scores)
        if not math.isfinite(score)
    ]
