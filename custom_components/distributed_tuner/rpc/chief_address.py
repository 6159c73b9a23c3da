"""Finds the chief's address, which clients look up before each call."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from custom_components.distributed_tuner.storage.search_dir import SearchDir

_LOG = logging.getLogger(__name__)

# A restarted chief may have another address; until its clients have read it, they retry.
_FRESH_SECONDS = 2.0
_UNKNOWN_FRESH_SECONDS = 0.5


def finder(directory: SearchDir) -> Callable[[], str | None]:
    """A function that returns the chief's address like `SearchDir.read_address`, but without blocking on a bucket."""
    return directory.read_address if directory.storage.path is not None else _InBackground(directory)


class _InBackground:
    """Reads the address in a thread: a call to the chief must not wait for an unreachable bucket."""

    def __init__(self, directory: SearchDir) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._address: str | None = None
        self._read = 0.0
        self._reading = False

    def __call__(self) -> str | None:
        """The address as it was read last; None before that."""
        with self._lock:
            fresh = _FRESH_SECONDS if self._address else _UNKNOWN_FRESH_SECONDS
            if not self._reading and time.monotonic() - self._read >= fresh:
                self._reading = True
                threading.Thread(target=self._refresh, name="chief-address", daemon=True).start()
            return self._address

    def _refresh(self) -> None:
        try:
            address = self._directory.read_address()
        except OSError as error:
            _LOG.warning("the chief's address cannot be read, the last one is used: %s", error)
            address = self._address
        with self._lock:
            self._address, self._read, self._reading = address, time.monotonic(), False
