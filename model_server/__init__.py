"""A local model server for development that answers as TensorFlow Serving does.

Start it with `python -m model_server`, or start and stop it from Python. The names that can be imported from here are
public, and loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model_server.launch import LaunchError, start
    from model_server.running import RequestError, RunningServer

__all__ = ["LaunchError", "RequestError", "RunningServer", "start"]

_MODULES = {"LaunchError": "launch", "start": "launch", "RequestError": "running", "RunningServer": "running"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
