"""Waiting for a version number to change."""

from __future__ import annotations

import asyncio


class Changes:
    """Wakes callers that wait for a version other than the one they know. Used in one event loop."""

    def __init__(self) -> None:
        self._version = 0
        self._moved: asyncio.Future[None] | None = None

    def announce(self, version: int) -> None:
        """Sets the version, and wakes the waiters if it is a new one."""
        if version != self._version:
            self._version = version
            if self._moved is not None and not self._moved.done():
                self._moved.set_result(None)
            self._moved = None

    async def wait(self, known: int, seconds: float) -> None:
        """Returns when the announced version differs from `known`, or after this many seconds."""
        if self._version == known:
            if self._moved is None:
                self._moved = asyncio.get_running_loop().create_future()
            # Not wait_for, which would cancel the shared future.
            await asyncio.wait({self._moved}, timeout=seconds)
