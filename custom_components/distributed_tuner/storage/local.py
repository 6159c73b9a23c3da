"""A folder on this machine, or on a volume that several machines mount."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

from custom_components.distributed_tuner.host import files
from custom_components.distributed_tuner.storage import journal
from custom_components.distributed_tuner.storage.base import Hold, Locked, Storage, Take

_JOURNAL = "journal"
_RECORD_SECONDS = 1.0


class LocalStorage(Storage):
    """Files below `root`. Locks are the file system's: they end with the process that holds them."""

    record_seconds = _RECORD_SECONDS

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        """See `Storage.url`."""
        return str(self._root)

    @property
    def path(self) -> Path | None:
        """See `Storage.path`."""
        return self._root

    def prepare(self) -> None:
        """See `Storage.prepare`."""
        self._root.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes | None:
        """See `Storage.read`."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def written(self, name: str) -> float | None:
        """See `Storage.written`."""
        try:
            return (self._root / name).stat().st_mtime
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, data)

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        (self._root / name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`."""
        shutil.rmtree(self._root / name, onerror=_raise_unless_gone)

    def open_journal(self, take: Take) -> journal.Journal:
        """See `Storage.open_journal`. The caller holds the search's lock."""
        path = self._root / _JOURNAL
        take(journal.read(path))
        return journal.FileJournal(path)

    def journal_position(self) -> int:
        """See `Storage.journal_position`."""
        try:
            return (self._root / _JOURNAL).stat().st_size
        except FileNotFoundError:
            return 0

    def journal_state(self) -> str:
        """See `Storage.journal_state`."""
        return "empty" if (self._root / _JOURNAL).exists() else "missing"

    @contextlib.contextmanager
    def held(self, name: str, *, owner: str, wait_seconds: float) -> Iterator[Hold]:
        """See `Storage.held`."""
        del owner  # the file system releases the locks of dead processes
        lock = filelock.FileLock(self._root / name)
        try:
            lock.acquire(timeout=wait_seconds)
        except filelock.Timeout as error:
            raise Locked(name) from error
        try:
            yield _Held()
        finally:
            lock.release()


def _raise_unless_gone(function: object, path: str, error: tuple[type, BaseException, object]) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


class _Held(Hold):
    def check(self) -> None:
        """See `Hold.check`: this lock cannot be lost."""
