"""Keeps forks of this process apart from its calls to the chief.

gRPC has handlers that make a fork safe, but skips them while a thread is in a call. The child then shares the
connection, and what it does to it when it starts or ends breaks the parent's calls.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

# A call that the chief holds open lasts longer. A fork during it proceeds, and a broken call is repeated.
_PATIENCE_SECONDS = 2.0


class ForkGate:
    """Admits many calls at a time, or one fork."""

    def __init__(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        self._changed = threading.Condition()
        self._calls = 0
        self._forks = 0

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Wraps a call, which waits for the end of a fork that has begun."""
        with self._changed:
            self._changed.wait_for(lambda: not self._forks, self._patience)
            self._calls += 1
        try:
            yield
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def watch(self) -> None:
        """From now on every fork of this process waits for the calls in flight, up to the patience."""
        os.register_at_fork(before=self._begin, after_in_parent=self._end, after_in_child=self._forget)

    def _begin(self) -> None:
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: not self._calls, self._patience)

    def _end(self) -> None:
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def _forget(self) -> None:
        # None of the parent's threads exists here to open the gate or release its lock.
        self._changed = threading.Condition()
        self._calls = self._forks = 0


GATE = ForkGate()
"""That of this process's clients; `watch` is for whoever runs the user's code."""
