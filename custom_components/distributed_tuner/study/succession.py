"""Which process represents a worker: the latest one that asked for work, and none that it replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Processes remembered per worker; an older one is no longer distinguished from a new one.
_KEPT = 50


class Succession:
    """The successive processes with the same worker id.

    A process that was suspended, or partitioned on another machine, may come back long after another one has replaced
    it. Its calls are then stale: see `Study`. A caller that names no process (an empty string) is never stale.
    """

    def __init__(self) -> None:
        self._processes: dict[str, list[str]] = {}
        self._unsaved: set[str] = set()

    def begin(self, worker: str, process: str) -> bool:
        """A process asks for work; a new one replaces the last. Returns whether it represents its worker now."""
        known = self._processes.setdefault(worker, [])
        if process in known:
            return process == known[-1]
        if process:
            known.append(process)
            del known[:-_KEPT]
            self._unsaved.add(worker)
        return True

    def replaced(self, worker: str, process: str) -> bool:
        """Whether another process has replaced this one."""
        return process in self._processes.get(worker, ())[:-1]

    def take_unsaved(self) -> dict[str, list[str]]:
        """The processes of the workers that got a new one since the last call, as JSON-able data."""
        taken = {worker: list(self._processes[worker]) for worker in sorted(self._unsaved)}
        self._unsaved.clear()
        return taken

    def put_back(self, state: Mapping[str, Sequence[str]]) -> None:
        """Restores what `take_unsaved` returned, merged by worker."""
        self._processes = {worker: list(processes) for worker, processes in state.items()}
