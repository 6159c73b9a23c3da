"""Which process stands for a worker: the last one that began to ask, and none that it took the place of."""

from __future__ import annotations


class Succession:
    """The processes that bear a worker's id, one after the other.

    A process that is suspended, or cut off on another machine, may come back when another one has taken its place long
    since. What it says then is old: see `Study`. A caller that names no process (an empty text) is never old.
    """

    def __init__(self) -> None:
        self._current: dict[str, str] = {}
        self._replaced: dict[str, set[str]] = {}

    def begin(self, worker: str, process: str) -> bool:
        """A process asks for work: a new one in the place of the last. Returns whether it stands for its worker now."""
        if self.replaced(worker, process):
            return False
        before = self._current.get(worker, "")
        if process and before != process:
            self._current[worker] = process
            if before:
                self._replaced.setdefault(worker, set()).add(before)
        return True

    def replaced(self, worker: str, process: str) -> bool:
        """Whether another process has taken this one's place."""
        return process in self._replaced.get(worker, ())
