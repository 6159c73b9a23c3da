"""The JSON encoding of everything that is stored or sent."""

from __future__ import annotations

import json
import sys
from typing import Any


def dumps(value: Any) -> str:
    """Compact JSON; numpy scalars become plain numbers.

    Raises:
      TypeError: a value cannot be represented in JSON.
    """
    return _ENCODER.encode(value)


def _plain(value: Any) -> Any:
    # Not imported, to keep it from those who only read a search: if a value is numpy's, numpy is loaded already.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return value.item()
    if numpy is not None and isinstance(value, numpy.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a stored search: {value!r}")


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain)
