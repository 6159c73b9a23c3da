"""Waiting for a condition, never longer than a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

POLL_SECONDS = 0.05


def until(
    look: Callable[[], Value | None], what: str, *, seconds: float = 120.0, tell: Callable[[], object] | None = None
) -> Value:
    """Calls `look` until it returns something true.

    Args:
      look: the condition.
      what: its name, for the message.
      seconds: the deadline.
      tell: what to add to the message when the deadline has passed, such as the state of the pods.

    Returns:
      What `look` returned.

    Raises:
      TimeoutError: the deadline passed.
    """
    end = time.monotonic() + seconds
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > end:
            more = f"; last seen: {tell()}" if tell else ""
            raise TimeoutError(f"{what}: not within {seconds:g} s{more}")
        time.sleep(POLL_SECONDS)
