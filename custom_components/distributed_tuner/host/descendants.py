"""Processes that the user's code leaves behind, even detached ones (`setsid`, a daemon).

Such a process is in no group that could be killed, and its parent has ended. A process that has called `adopt` becomes
the parent of every orphaned descendant, so that it can be found; init, or a container's first process, needs no such
call.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Collection

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.02


def adopt() -> None:
    """Makes this process, but not its forks, take the place of init for its orphaned descendants from now on.

    An adopted process that ends and is never waited for stays in the kernel's table until this process ends too.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill(but: Collection[int] = ()) -> None:
    """Kills the children of this process, except the pids in `but`, and the descendants of those it kills."""
    for child in psutil.Process().children():
        if child.pid in but:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (child, *child.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    process.kill()


def end(seconds: float) -> bool:
    """Kills all descendants of this process, which is about to end, and waits for them.

    Args:
      seconds: how long to wait at most.

    Returns:
      Whether none is left.
    """
    until = time.monotonic() + seconds
    while True:
        kill()
        try:
            # The children of those killed are this process's now.
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_SECONDS)
