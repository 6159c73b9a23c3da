"""The difference between two states of an oracle, so that a save costs as much as the change, not the whole state.

A state is what keras-tuner's `get_state` returns: a dict of JSON-able values. Most of it only grows (the order of
trials, their hashes); the difference is then the tail.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from custom_components.distributed_tuner import encoding

State = dict[str, Any]
Patch = dict[str, Any]

_SCALARS = (str, int, float, bool, type(None))


def freeze(state: Mapping[str, Any]) -> State:
    """A copy unaffected by later changes of the oracle: flat values as they are, everything else as JSON text."""
    return {key: _freeze(value) for key, value in state.items()}


def diff(old: State, new: State) -> Patch:
    """What turns the frozen state `old` into `new`.

    Returns:
      {key: ["set", value] | ["append", tail] | ["update", changed, removed] | ["remove"]}
    """
    patch: Patch = {key: ["remove"] for key in old if key not in new}
    for key, value in new.items():
        before: Any = old.get(key)
        if key in old and type(before) is type(value):
            if before == value:
                continue
            if isinstance(value, list) and len(value) > len(before) and value[: len(before)] == before:
                patch[key] = ["append", value[len(before) :]]
                continue
            if isinstance(value, dict):
                changed = {k: v for k, v in value.items() if k not in before or before[k] != v}
                removed = [k for k in before if k not in value]
                patch[key] = ["update", changed, removed]
                continue
        patch[key] = ["set", value]
    return patch


def apply(state: State, patch: Patch) -> None:
    """Applies a patch from `diff` to `state`, in place, in time proportional to the patch."""
    for key, (kind, *values) in patch.items():
        if kind == "set":
            # A copy: later patches change it in place.
            state[key] = copy.copy(values[0])
        elif kind == "append":
            state[key].extend(values[0])
        elif kind == "remove":
            del state[key]
        else:
            changed, removed = values
            for name in removed:
                state[key].pop(name, None)
            state[key].update(changed)


def thaw(state: State) -> State:
    """Undoes `freeze`; the result shares nothing with `state`."""
    return {key: json.loads(value["json"]) if _is_text(value) else copy.copy(value) for key, value in state.items()}


def _freeze(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(item, _SCALARS) for item in value):
        return list(value)
    if isinstance(value, Mapping) and all(
        isinstance(k, str) and isinstance(item, _SCALARS) for k, item in value.items()
    ):
        flat = dict(value)
        if not _is_text(flat):
            return flat
    return {"json": encoding.dumps(value)}


def _is_text(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"json"} and isinstance(value["json"], str)
