"""Ends what a run has started: nothing may be left behind, however the run ended."""

from __future__ import annotations

import time

import psutil

_GRACE_SECONDS = 10.0
_DEADLINE_SECONDS = 20.0


def end_children() -> None:
    """Ends all descendants of this process, SIGTERM first, then SIGKILL; includes those that they start meanwhile.

    Returns when none is left, or after 20 s.
    """
    deadline = time.monotonic() + _DEADLINE_SECONDS
    asked: set[int] = set()
    while (children := psutil.Process().children(recursive=True)) and time.monotonic() < deadline:
        for child in children:
            try:
                if child.pid in asked:
                    child.kill()
                else:
                    child.terminate()
                    asked.add(child.pid)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(children, timeout=min(_GRACE_SECONDS, max(0.1, deadline - time.monotonic())))
