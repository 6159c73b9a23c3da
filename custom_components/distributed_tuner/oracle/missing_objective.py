"""Says what is wrong where a trial reports metrics and its objective is not one of them: a name misspelt, mostly."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from keras_tuner.src.engine import objective as objective_module


def parts(objective: objective_module.Objective) -> Sequence[objective_module.Objective]:
    """The metrics that have to be reported: one, or those of several objectives."""
    several: Sequence[objective_module.Objective] = getattr(objective, "objectives", [objective])
    return several


class IncompleteObjective(ValueError):
    """A fit reported its objective after some of its epochs, and not after others."""


def reason(objective: objective_module.Objective, reported: Collection[str]) -> str:
    """What is missing among the metrics that were reported, and what there is."""
    names = [part.name for part in parts(objective)]
    missing = [repr(name) for name in names if name not in reported] or [repr(objective.name)]
    return (
        f"the trial reported no {', '.join(missing)}; it reported {', '.join(sorted(reported)) or 'nothing'}. "
        "The objective must be a metric that the model is compiled with, after 'val_' for the eval split"
    )
