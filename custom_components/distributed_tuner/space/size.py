"""How many configurations a search space has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_tuner.src.engine import hyperparameters as hp_module
from keras_tuner.src.engine.hyperparameters import hp_types
from keras_tuner.src.engine.hyperparameters.hp_types import numerical

from custom_components.distributed_tuner.space import entry_values

# The most branches of conditions that are counted.
_MOST_BRANCHES = 10_000


class _Uncountable(Exception):
    """The space has a number without a step, or more branches than are worth the time."""


def count(space: Sequence[hp_module.HyperParameter]) -> int | None:
    """The number of configurations, each with the hyperparameters that are active in it.

    Args:
      space: its entries, each condition's parent before its children.

    Returns:
      The number; None if it is infinite or unknown.
    """
    parents = {condition.name for entry in space for condition in entry.conditions}
    left = _MOST_BRANCHES

    def below(index: int, values: dict[str, Any]) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise _Uncountable
        product = 1
        for position in range(index, len(space)):
            entry = space[position]
            if not entry_values.is_active(entry, values):
                continue
            if entry.name in parents:
                branches = (below(position + 1, {**values, entry.name: value}) for value in _values(entry))
                return product * sum(branches)
            product *= len(_values(entry))
        return product

    try:
        return below(0, {})
    except _Uncountable:
        return None


def _values(entry: hp_module.HyperParameter) -> Sequence[Any]:
    if isinstance(entry, numerical.Numerical):
        if isinstance(entry, hp_types.Int) and entry.sampling == "linear":
            return range(entry.min_value, entry.max_value + 1, entry.step or 1)
        if entry.step is not None:
            return list(entry.values)
        if isinstance(entry, hp_types.Int):
            return range(entry.min_value, entry.max_value + 1)
        if entry.min_value < entry.max_value:
            raise _Uncountable
        return [entry.min_value]
    if isinstance(entry, (hp_types.Boolean, hp_types.Choice, hp_types.Fixed)):
        return list(dict.fromkeys(entry.values))
    raise _Uncountable
