"""The chief's time."""

from __future__ import annotations

import math
import time

_LONGEST_ABSENCE_SECONDS = 3600.0


class Clock:
    """Seconds since the epoch that never jump: the wall clock is read once, a monotonic one after that.

    Args:
      last: the last time that an earlier chief stored, None if there was none. The clock continues from there if the
        wall clock contradicts it (an earlier time, or a longer absence than a restart takes).
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
