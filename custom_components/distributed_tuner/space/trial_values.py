"""Which values the hyperparameters of a trial may have, whether from a worker, an oracle or a journal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras_tuner.src.engine import hyperparameters as hp_module

from custom_components.distributed_tuner.record import fields
from custom_components.distributed_tuner.space import copies

# Arguments for `HyperParameter.prob_to_value` to sample an entry: from its smallest to nearly its largest value.
_PROBABILITIES = (0.0, 0.5, 0.999)


def fault(values: object) -> str | None:
    """Why these cannot be a trial's values, naming the one at fault; None if they can.

    A value is a number (NumPy's too), a Unicode string or a boolean: what a report can show, and a trainer can take.
    """
    if not isinstance(values, Mapping):
        return f"its hyperparameters' values are {type(values).__name__}, not values by their names"
    for name, value in values.items():
        if not _is_text(name):
            return f"the name of a hyperparameter is {fields.shown(name)}, not a text of Unicode"
        if not _usable(value.item() if isinstance(value, np.generic) else value):
            kind = type(value).__name__
            return (
                f"hyperparameter {name!r} has the value {fields.shown(value)} of type {kind}. Values must be numbers, "
                "texts of Unicode or booleans"
            )
    return None


def fault_of_config(config: object) -> str | None:
    """As `fault`, for a `HyperParameters.get_config()`; also checks that values can be drawn from its entries."""
    if not isinstance(config, Mapping) or "values" not in config:
        return "its hyperparameters are no configuration of keras-tuner's HyperParameters"
    found = fault(config["values"])
    if found is not None:
        return found
    try:
        for entry in copies.hyperparameters(config).space:
            found = found or _fault_of_entry(entry)
    except Exception as error:
        # Only keras-tuner's classes run here; they may raise anything on values that they do not expect.
        return f"its hyperparameters are not such as keras-tuner has: {type(error).__name__}: {error}"
    return found


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A `HyperParameters.get_config()` with its values replaced by the defaults of its active entries."""
    found = copies.hyperparameters({**config, "values": {}})
    for entry in found.space:
        if found.is_active(entry):
            found.values.setdefault(entry.name, entry.default)
    return dict(found.get_config())


def _fault_of_entry(entry: hp_module.HyperParameter) -> str | None:
    if not _is_text(entry.name):
        return f"the name of a hyperparameter is {fields.shown(entry.name)}, not a text of Unicode"
    values = [("default", entry.default), *(("values", entry.prob_to_value(each)) for each in _PROBABILITIES)]
    if isinstance(entry, (hp_module.Choice, hp_module.Fixed)):
        values += [("values", each) for each in entry.values]
    for condition in entry.conditions:
        if not _is_text(condition.name):
            return f"a condition of hyperparameter {entry.name!r} is on {fields.shown(condition.name)}, not on a name"
        values.extend((f"condition on {condition.name!r}", value) for value in condition.values)
    for what, value in values:
        drawn = what == "values" and isinstance(entry, (hp_module.Int, hp_module.Float))
        if not _usable(value) or (drawn and not math.isfinite(value)):
            return f"the {what} of hyperparameter {entry.name!r}: {fields.shown(value)} is nothing to try"
    return None


def _usable(value: object) -> bool:
    try:
        fields.scalar(value, "value")
    except ValueError:
        return False
    return not isinstance(value, str) or _is_text(value)


def _is_text(value: object) -> bool:
    """Whether it is a string that can be encoded: keras-tuner hashes names and values as UTF-8."""
    return isinstance(value, str) and fields.text(value, "text") == value
