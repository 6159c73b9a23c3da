"""A search as keras-tuner itself stores it, for keras-tuner's own tools. The journal is what the chief trusts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner import files, patches


class ProjectFiles:
    """Writes `oracle.json` and `trial_*/trial.json` of one project folder. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._pending: dict[str, Mapping[str, Any]] = {}

    def update(self, trials: Mapping[str, Mapping[str, Any]]) -> None:
        """Takes note of new states of trials (`Trial.get_state()`, by trial id)."""
        with self._lock:
            self._pending.update(trials)

    def write(self, oracle_state: str | None) -> None:
        """Writes the trials that changed, and the oracle's state (`Oracle.get_state()` as JSON) if given.

        Raises:
          OSError: the disk refuses.
        """
        with self._lock:
            pending, self._pending = self._pending, {}
        for trial_id, state in pending.items():
            folder = self._root / f"trial_{trial_id}"
            folder.mkdir(parents=True, exist_ok=True)
            files.write_atomically(folder / "trial.json", patches.dumps(state).encode())
        if oracle_state is not None:
            self._root.mkdir(parents=True, exist_ok=True)
            files.write_atomically(self._root / "oracle.json", oracle_state.encode())
