"""What a chief keeps on disk: the journal, which it trusts, and the files that others read."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Awaitable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from custom_components.distributed_tuner.chief.project_files import ProjectFiles
from custom_components.distributed_tuner.chief.record_file import RecordFile
from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.oracle import patches
from custom_components.distributed_tuner.record.record import Direction, SearchRecord
from custom_components.distributed_tuner.storage import journal
from custom_components.distributed_tuner.storage.base import Fenced
from custom_components.distributed_tuner.storage.search_dir import JOURNAL, RECORD, SearchDir

# keras-tuner's names, see `Trial.get_state()`.
_COMPLETED = "COMPLETED"
_FINAL = (_COMPLETED, "FAILED")


class NotPublished(OSError):
    """The files that others read could not be written. The search itself is stored."""


@dataclasses.dataclass
class Stored:
    """What a journal holds, merged.

    Attributes:
      study: for `Study.restore`.
      oracle: for `OracleSuggester.restore`.
      results: the last result of each trial that was acknowledged before the oracle judged it, by trial id.
      identity: the search's settings, see `identity`; None if not stored yet.
      search: the search's unique id, different also from that of a search started in the same directory after the
        journal is gone; None if not stored yet.
      time: of the last entry, by the clock of the chief that wrote it; None if there is none.
    """

    study: dict[str, Any] = dataclasses.field(default_factory=lambda: {"trials": {}})
    oracle: patches.State = dataclasses.field(default_factory=dict)
    results: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    identity: dict[str, Any] | None = None
    search: str | None = None
    time: float | None = None


class DurableState:
    """The durable side of a chief. The event loop calls it, except `write_files`.

    Attributes:
      trials: keras-tuner's state of each trial (`Trial.get_state()`), by trial id.
      record_seconds: the shortest interval between calls of `write_files`.
    """

    def __init__(self, directory: SearchDir, project_dir: str) -> None:
        self._directory = directory
        self._storage = directory.storage
        self._project = ProjectFiles(self._storage, project_dir)
        self._record = RecordFile(self._storage)
        self._journal: journal.Journal | None = None
        self._written: Future[None] | None = None
        self._files = threading.Lock()
        self._on_disk: asyncio.Future[None] | None = None
        self.trials: dict[str, dict[str, Any]] = {}
        self.record_seconds = self._storage.record_seconds

    def open(self) -> Stored:
        """Reads the journal and opens it for writing.

        Raises:
          CorruptState: the journal is damaged, or lost.
          OSError: the directory is not writable.
        """
        stored = Stored()

        def take(entries: Iterable[journal.Entry]) -> None:
            nonlocal stored
            stored = Stored()
            self.trials.clear()
            empty = True
            for entry in entries:
                empty = False
                self._merge(stored, entry)
            if empty:
                self._check_new()

        self._journal = self._storage.open_journal(take)
        self._project.update(self.trials)
        self._project.ended(_ended(self.trials))
        return stored

    def append(self, entry: dict[str, Any], oracle_patch: Mapping[str, Any] | None = None) -> Awaitable[None]:
        """Queues a transition for the journal. Called in the order of the transitions; an empty one is not stored.

        Args:
          entry: the transition.
          oracle_patch: the oracle's change that goes with it.

        Returns:
          An awaitable, done when this transition and all before it are on disk; it raises OSError if writing fails.
        """
        assert self._journal is not None
        if oracle_patch is not None and (oracle_patch["state"] or oracle_patch["trials"]):
            entry = {**entry, "oracle": oracle_patch}
            self.trials.update(oracle_patch["trials"])
            self._project.update(oracle_patch["trials"])
        if entry:
            self._write(entry, _ended(oracle_patch["trials"] if oracle_patch else {}))
        if self._on_disk is None:
            self._on_disk = asyncio.get_running_loop().create_future()
            self._on_disk.set_result(None)
        return asyncio.shield(self._on_disk)

    def _merge(self, stored: Stored, entry: journal.Entry) -> None:
        for key in {"trials", "processes"} & entry.keys():
            stored.study.setdefault(key, {}).update(entry[key])
        stored.results.update(entry.get("results", {}))
        stored.identity = entry.get("identity", stored.identity)
        stored.search = entry.get("search", stored.search)
        stored.time = entry.get("time", stored.time)
        if "study" in entry:
            stored.study["study"] = entry["study"]
        if "oracle" in entry:
            patches.apply(stored.oracle, entry["oracle"]["state"])
            self.trials.update(entry["oracle"]["trials"])

    def _check_new(self) -> None:
        """Fails if the journal is empty although the record shows that a search has run here."""
        record = self._storage.where(RECORD)
        try:
            stored = self._directory.read_record()
        except CorruptState:
            trace = f"there is a {record}, so that a search has run here"
        else:
            if stored is None or not stored.trials:
                return
            trace = f"{record} tells of {len(stored.trials)} trials"
        raise CorruptState(
            f"{self._storage.where(JOURNAL)} is {self._storage.journal_state()}, but {trace}: the search's state was "
            f"lost. Restore it from a copy, or start a new search under another run id. Or remove {record}, and the "
            f"same run id starts from nothing"
        )

    def _write(self, entry: dict[str, Any], ended: list[str]) -> None:
        assert self._journal is not None
        written = self._journal.append(entry)
        if written is not self._written:
            # One wake-up of the event loop per batch written to disk.
            self._written, self._on_disk = written, asyncio.wrap_future(written)
        if ended:
            written.add_done_callback(lambda done: None if done.exception() else self._project.ended(ended))

    def best(self, count: int, direction: Direction) -> list[dict[str, Any]]:
        """The states of the best completed trials, best first; never padded with others."""
        completed = [trial for trial in self.trials.values() if trial["status"] == _COMPLETED]
        completed.sort(key=lambda trial: trial["score"], reverse=direction is Direction.MAX)
        return completed[:count]

    def write_files(self, changed: SearchRecord, oracle_state: str | None) -> None:
        """Writes the files that others read, the record and keras-tuner's, once the journal has their content on disk.

        Args:
          changed: the record with the trials that changed since the last call.
          oracle_state: `Oracle.get_state()` as JSON, None to leave its file as it is.

        Raises:
          NotPublished: these files cannot be written; their content is in the journal, and another call with the same
            trials, or more, brings them up to date.
          OSError: the journal cannot be written.
        """
        assert self._journal is not None
        written = self._written
        with self._files:
            if written is not None:
                written.result()
            self._journal.check()
            try:
                self._record.write(changed)
                self._project.write(oracle_state)
            except Fenced:
                raise
            except OSError as error:
                raise NotPublished(str(error)) from error

    def close(self) -> None:
        """Flushes the queue to disk, and cleans up."""
        if self._journal is not None:
            self._journal.close()
        self._project.close()


def _ended(trials: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [trial_id for trial_id, trial in trials.items() if trial["status"] in _FINAL]
