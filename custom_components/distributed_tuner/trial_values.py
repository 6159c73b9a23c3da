"""What the hyperparameters of a trial may be, wherever they come from: a worker, an oracle, a journal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from custom_components.distributed_tuner import fields, unchanged


def fault(values: object) -> str | None:
    """Why these are no values of a trial, with the name of the one at fault; None if they are.

    A value is a number (NumPy's too), a text, true or false: what a report can show, and a trainer be given.
    """
    if not isinstance(values, Mapping):
        return f"its hyperparameters' values are {type(values).__name__}, not values by their names"
    for name, value in values.items():
        if not isinstance(name, str):
            return f"the name of a hyperparameter is {name!r}, not a text"
        try:
            fields.scalar(value.item() if isinstance(value, np.generic) else value, "value")
        except ValueError:
            return (
                f"hyperparameter {name!r} has the value {_shown(value)} of type {type(value).__name__}. Values must be "
                "numbers, texts or booleans"
            )
    return None


def fault_of_config(config: object) -> str | None:
    """The same of a `HyperParameters.get_config()`, and why keras-tuner cannot make it into an object again."""
    if not isinstance(config, Mapping) or "values" not in config:
        return "its hyperparameters are no configuration of keras-tuner's HyperParameters"
    found = fault(config["values"])
    if found is not None:
        return found
    try:
        unchanged.hyperparameters(config)
    except Exception as error:
        # Whatever its classes do with what they are given: nothing else is run here.
        return f"its hyperparameters are not such as keras-tuner has: {type(error).__name__}: {error}"
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
