"""Says what is wrong where a trial reports metrics and its objective is not one of them: a name misspelt, mostly."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

from keras_tuner.src.engine import objective as objective_module
from keras_tuner.src.engine import tuner_utils


def reason(objective: objective_module.Objective, reported: Collection[str]) -> str:
    """What is missing among the metrics that were reported, and what there is."""
    parts = [part.name for part in getattr(objective, "objectives", [objective])]
    missing = [repr(name) for name in parts if name not in reported] or [repr(objective.name)]
    return (
        f"the trial reported no {', '.join(missing)}; it reported {', '.join(sorted(reported)) or 'nothing'}. "
        "The objective must be a metric that the model is compiled with, after 'val_' for the eval split"
    )


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Within it a fit whose history lacks the objective fails with the reason, where keras-tuner raises KeyError."""
    original = tuner_utils._get_best_value_and_best_epoch_from_history

    def best(history: Any, objective: objective_module.Objective) -> Any:
        reported = history.history
        if not objective.has_value(reported):
            raise ValueError(reason(objective, reported))
        try:
            return original(history, objective)
        except KeyError as error:
            raise ValueError(
                f"the fit reported {objective.name!r} not after each of its epochs, as keras-tuner needs it: "
                "validation_freq must be 1"
            ) from error

    tuner_utils._get_best_value_and_best_epoch_from_history = best
    try:
        yield
    finally:
        tuner_utils._get_best_value_and_best_epoch_from_history = original
