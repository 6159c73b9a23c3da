"""Which process stands for a worker: the last one that began to ask, and none that it took the place of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Of a worker that had more processes than that, the first ones are told from new ones no more.
_KEPT = 50


class Succession:
    """The processes that bear a worker's id, one after the other.

    A process that is suspended, or cut off on another machine, may come back when another one has taken its place long
    since. What it says then is old: see `Study`. A caller that names no process (an empty text) is never old.
    """

    def __init__(self) -> None:
        self._processes: dict[str, list[str]] = {}
        self._unsaved: set[str] = set()

    def begin(self, worker: str, process: str) -> bool:
        """A process asks for work: a new one in the place of the last. Returns whether it stands for its worker now."""
        known = self._processes.setdefault(worker, [])
        if process in known:
            return process == known[-1]
        if process:
            known.append(process)
            del known[:-_KEPT]
            self._unsaved.add(worker)
        return True

    def replaced(self, worker: str, process: str) -> bool:
        """Whether another process has taken this one's place."""
        return process in self._processes.get(worker, ())[:-1]

    def take_unsaved(self) -> dict[str, list[str]]:
        """The processes of the workers that got one since the last call, as JSON-able data."""
        taken = {worker: list(self._processes[worker]) for worker in sorted(self._unsaved)}
        self._unsaved.clear()
        return taken

    def put_back(self, state: Mapping[str, Sequence[str]]) -> None:
        """Takes up what `take_unsaved` gave, merged by worker."""
        self._processes = {worker: list(processes) for worker, processes in state.items()}
