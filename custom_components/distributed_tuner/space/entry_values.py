"""The values that an entry of a search space may have, and the fitting of a trial's values to them.

In keras-tuner 1.4.7 a Bayesian search gives `Int("n", 1, 8, sampling="log")` the value 9, a grid gives an `Int` with a
step and `sampling="log"` floats, a value computed with a step may exceed the maximum in the last digit, and a default
is taken as it is, whatever its type.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from keras_tuner.src.engine import hyperparameters as hp_module
from keras_tuner.src.engine.hyperparameters import hp_types
from keras_tuner.src.engine.hyperparameters.hp_types import numerical

from custom_components.distributed_tuner.record.record import HyperparameterValue


class UnfitValue(ValueError):
    """A value that its entry cannot have, and that has no nearest allowed value; the text names both."""


def fit(entry: hp_module.HyperParameter, value: Any) -> HyperparameterValue:
    """The nearest value of the entry's own type, in its range and on its grid; the default is returned unchanged.

    Entries of other classes than keras-tuner's accept any value.

    Args:
      entry: the entry.
      value: the value to fit.

    Returns:
      The fitted value.

    Raises:
      UnfitValue: there is none.
    """
    kind = type(value)
    # The fast path: nearly all values fit already, and every value passes here.
    if kind is int and isinstance(entry, hp_types.Int) and entry.sampling == "linear":
        if entry.min_value <= value <= entry.max_value and (value - entry.min_value) % (entry.step or 1) == 0:
            return value
    elif kind is float and isinstance(entry, hp_types.Float) and entry.step is None:
        if entry.min_value <= value <= entry.max_value:
            return value
    elif kind is bool and isinstance(entry, hp_types.Boolean):
        return value
    return _nearest(entry, value.item() if isinstance(value, np.generic) else value)


def fit_all(entries: Iterable[hp_module.HyperParameter], values: dict[str, Any]) -> bool:
    """Fits the values of the active entries, in place; the other values are unchanged.

    Args:
      entries: a space, each condition's parent before its children.
      values: values by entry name.

    Returns:
      Whether anything was changed.

    Raises:
      UnfitValue: a value cannot be fitted; those before it have been.
    """
    changed = False
    for entry in entries:
        if entry.name in values and is_active(entry, values):
            before = values[entry.name]
            after = values[entry.name] = fit(entry, before)
            changed = changed or type(after) is not type(before) or after != before
    return changed


def is_active(entry: hp_module.HyperParameter, values: dict[str, Any]) -> bool:
    """Whether the entry is part of a configuration with these values."""
    return all(condition.is_active(values) for condition in entry.conditions)


@contextlib.contextmanager
def in_range() -> Iterator[None]:
    """Within it the values that an entry lists are of its type and in its range, like those of trials."""
    original = numerical.Numerical._get_value_by_index

    def by_index(self: numerical.Numerical, index: int) -> float:
        return _typed(self, original(self, index))

    numerical.Numerical._get_value_by_index = by_index
    try:
        yield
    finally:
        numerical.Numerical._get_value_by_index = original


@contextlib.contextmanager
def defaults_fitted(tell: Callable[[str], None]) -> Iterator[None]:
    """Within it an entry that is declared gets a default of its own type and in its range.

    Args:
      tell: called once with a message for each default that was out of range.
    """
    original = hp_module.HyperParameters._register
    told: set[str] = set()

    def register(self: hp_module.HyperParameters, hyperparameter: hp_module.HyperParameter, *rest: Any) -> Any:
        given = hyperparameter._default
        if given is not None and not isinstance(hyperparameter, hp_types.Fixed):
            fitted = _default(hyperparameter, given)
            if fitted != given and hyperparameter.name not in told:
                told.add(hyperparameter.name)
                tell(
                    f"the default of hyperparameter {hyperparameter.name!r} is {fitted!r}, and not {given!r}, which is "
                    f"none of {_range(hyperparameter)}"
                )
            hyperparameter._default = fitted
        return original(self, hyperparameter, *rest)

    hp_module.HyperParameters._register = register
    try:
        yield
    finally:
        hp_module.HyperParameters._register = original


def _nearest(entry: hp_module.HyperParameter, value: Any) -> HyperparameterValue:
    if isinstance(entry, hp_types.Fixed):
        return entry.value
    if isinstance(entry, hp_types.Boolean):
        if value in (True, False):
            return bool(value)
    elif isinstance(entry, hp_types.Choice):
        for choice in entry.values:
            if _same(choice, value):
                return choice
    elif not isinstance(entry, numerical.Numerical):
        return value
    elif isinstance(value, (int, float)) and not math.isnan(value):
        return _number(entry, value)
    raise UnfitValue(f"hyperparameter {entry.name!r} has the value {value!r}, which is none of {_range(entry)}")


def _default(entry: hp_module.HyperParameter, given: Any) -> Any:
    """The default fitted to type and range; it need not be on the grid."""
    given = given.item() if isinstance(given, np.generic) else given
    if isinstance(entry, numerical.Numerical) and isinstance(given, (int, float)) and not math.isnan(given):
        return _typed(entry, given)
    try:
        return fit(entry, given)
    except UnfitValue:
        return fit(entry, entry.min_value) if isinstance(entry, numerical.Numerical) else given


def _number(entry: numerical.Numerical, value: float) -> float:
    if value == entry.default:
        return _typed(entry, value)
    value = min(max(value, entry.min_value), entry.max_value)
    if entry.step is None:
        return _typed(entry, value)
    last = entry._get_n_values() - 1
    return _typed(entry, entry._get_value_by_index(min(max(_index(entry, value), 0), last)))


def _index(entry: numerical.Numerical, value: float) -> int:
    """The index of the nearest value on the entry's grid."""
    if entry.sampling == "linear":
        # Whole numbers stay whole, however large.
        index, rest = divmod(value - entry.min_value, entry.step)
        return int(index) + (2 * rest >= entry.step)
    if entry.sampling == "reverse_log":
        value = entry.max_value + entry.min_value - value
    return round(math.log(value / entry.min_value, entry.step))


def _typed(entry: numerical.Numerical, value: float) -> float:
    value = min(max(value, entry.min_value), entry.max_value)
    return round(value) if isinstance(entry, hp_types.Int) else float(value)


def _same(choice: Any, value: Any) -> bool:
    if isinstance(choice, float) and isinstance(value, (int, float)):
        # A number that went through float32 is the same choice.
        return math.isclose(choice, value, rel_tol=1e-6)
    return bool(choice == value)


def _range(entry: hp_module.HyperParameter) -> str:
    if isinstance(entry, numerical.Numerical):
        kind = "whole numbers" if isinstance(entry, hp_types.Int) else "numbers"
        return f"the {kind} from {entry.min_value} to {entry.max_value}"
    shown = ", ".join(map(repr, entry.values))
    return shown if len(shown) <= 200 else f"{shown[:200]}…"
