"""Explains the error if a trial reports metrics without its objective: usually a misspelt name."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from keras_tuner.src.engine import objective as objective_module


def parts(objective: objective_module.Objective) -> Sequence[objective_module.Objective]:
    """The metrics that have to be reported: one, or one for each of several objectives."""
    several: Sequence[objective_module.Objective] = getattr(objective, "objectives", [objective])
    return several


class IncompleteObjective(ValueError):
    """A fit reported its objective after some of its epochs, and not after others."""


def reason(objective: objective_module.Objective, reported: Collection[str]) -> str:
    """An error message: which objectives are missing among the reported metrics, and which metrics there are."""
    names = [part.name for part in parts(objective)]
    missing = [repr(name) for name in names if name not in reported] or [repr(objective.name)]
    return (
        f"the trial reported no {', '.join(missing)}; it reported {', '.join(sorted(reported)) or 'nothing'}. "
        "The objective must be a metric that the model is compiled with, after 'val_' for the eval split"
    )
