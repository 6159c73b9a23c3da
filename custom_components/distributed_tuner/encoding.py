"""What is stored and sent, as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def dumps(value: Any) -> str:
    """Compact JSON; numpy scalars become plain numbers.

    Raises:
      TypeError: a value has no place in JSON.
    """
    return _ENCODER.encode(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a stored search: {value!r}")


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain)
