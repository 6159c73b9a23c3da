"""The chief's time."""

from __future__ import annotations

import math
import time

_LONGEST_ABSENCE_SECONDS = 3600.0


class Clock:
    """Seconds since the epoch that never jump: the wall clock is read once, a monotonic one after that.

    Args:
      last: what the chief before said last, None if there was none. Where the wall clock contradicts it (an earlier
        time; a chief that was away for longer than any is) it goes on from there.
      go_on: whether this is a new attempt, which may come at any later time.
    """

    def __init__(self, last: float | None = None, *, go_on: bool = True) -> None:
        now = time.time()
        if last is not None and not 0.0 <= now - last <= (math.inf if go_on else _LONGEST_ABSENCE_SECONDS):
            now = last
        self._offset = now - time.monotonic()

    def __call__(self) -> float:
        """The time now."""
        return self._offset + time.monotonic()
