"""Waiting for a number to move on."""

from __future__ import annotations

import asyncio


class Changes:
    """Wakes those who wait for a version other than the one they know. Used in one event loop."""

    def __init__(self) -> None:
        self._version = 0
        self._moved: asyncio.Future[None] | None = None

    def announce(self, version: int) -> None:
        """The version is this one now."""
        if version != self._version:
            self._version = version
            if self._moved is not None and not self._moved.done():
                self._moved.set_result(None)
            self._moved = None

    async def wait(self, known: int, seconds: float) -> None:
        """Returns when the announced version is another than `known`, or after so many seconds."""
        if self._version == known:
            if self._moved is None:
                self._moved = asyncio.get_running_loop().create_future()
            # Not wait_for, which would cancel the future that all share.
            await asyncio.wait({self._moved}, timeout=seconds)
