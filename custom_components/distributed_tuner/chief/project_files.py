"""A search as keras-tuner itself stores it, for keras-tuner's own tools; the chief itself trusts only its journal.

The chief also removes a trial's saved state here once the trial has ended: no other process learns of every trial's
end, such as that of a trial all of whose workers were lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.storage import search_dir
from custom_components.distributed_tuner.storage.base import Storage

_LOG = logging.getLogger(__name__)


class ProjectFiles:
    """Writes `oracle.json` and `trial_*/trial.json` of one project folder, by its name. Thread-safe."""

    def __init__(self, storage: Storage, project: str) -> None:
        self._storage = storage
        self._project = project
        self._lock = threading.Lock()
        self._pending: dict[str, Mapping[str, Any]] = {}
        self._oracle_state: str | None = None
        self._ended: list[str] = []
        self._cleared = 0

    def update(self, trials: Mapping[str, Mapping[str, Any]]) -> None:
        """Records new states of trials (`Trial.get_state()`, by trial id) for the next `write`."""
        with self._lock:
            self._pending.update(trials)

    def ended(self, trial_ids: Iterable[str]) -> None:
        """Records that the end of these trials is in the journal: no worker will resume them."""
        with self._lock:
            self._ended.extend(trial_ids)

    def write(self, oracle_state: str | None) -> None:
        """Writes the trials that changed, and the oracle's state (`Oracle.get_state()` as JSON) if given.

        Removes the saved state of trials that have ended, too. Not to be called concurrently.

        Raises:
          OSError: a write failed; the next call writes what is missing.
        """
        with self._lock:
            pending, self._pending = self._pending, {}
        self._oracle_state = self._oracle_state if oracle_state is None else oracle_state
        try:
            for trial_id, state in list(pending.items()):
                self._storage.write(f"{self._project}/trial_{trial_id}/trial.json", encoding.dumps(state).encode())
                del pending[trial_id]
            if self._oracle_state is not None:
                self._storage.write(f"{self._project}/oracle.json", self._oracle_state.encode())
                self._oracle_state = None
        finally:
            # States recorded meanwhile are newer.
            with self._lock:
                self._pending = {**pending, **self._pending}
        self._clear(self._cleared)

    def close(self) -> None:
        """Cleans up once more: a worker that was presumed dead may have woken up and saved an epoch since."""
        self._clear(0)

    def _clear(self, first: int) -> None:
        with self._lock:
            ended = self._ended[first:]
            self._cleared = len(self._ended)
        for trial_id in ended:
            try:
                self._storage.remove_folder(f"{self._project}/trial_{trial_id}/{search_dir.RESUME}")
            except OSError as error:
                _LOG.warning("the saved state of trial %s could not be removed: %s", trial_id, error)
