"""What a search needs from the place where it keeps its state."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.host import files
from custom_components.distributed_tuner.storage.journal import Entry, Journal

Take = Callable[[Iterable[Entry]], None]


class StorageError(OSError):
    """The storage refused or is unreachable. The message says what was tried, where, why, and what to do."""


class Fenced(StorageError):
    """Another process has taken the search over: nothing may be written, or acknowledged to anybody, any more."""


class Locked(Exception):
    """Another live process holds the lock."""


class Hold(abc.ABC):
    """A lock that one process holds at a time."""

    @abc.abstractmethod
    def check(self) -> None:
        """Checks that the lock is still held.

        Raises:
          Locked: another process has taken it over, because this one was silent for too long.
        """


class Storage(abc.ABC):
    """The files of one search, by names such as `search.json` and `project/trial_0/trial.json`.

    Files are read and written as a whole: a reader sees the old content or the new one, never half of it, and sees the
    latest write. Thread-safe. Failures are OSErrors whose messages are for people; if a retry could help, it has
    already been tried.

    Attributes:
      record_seconds: the least time between two writes of what onlookers read.
    """

    record_seconds: float

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The path or address of the folder, as `open_storage` and TensorFlow take it."""

    @property
    @abc.abstractmethod
    def path(self) -> Path | None:
        """The folder on this machine, None if it is elsewhere."""

    def where(self, name: str) -> str:
        """The path or address of a file."""
        return f"{self.url}/{name}"

    def patient(self, seconds: float) -> Storage:
        """The same storage, whose calls give up if it is unreachable for `seconds`; a local one always answers."""
        del seconds
        return self

    @abc.abstractmethod
    def prepare(self) -> None:
        """Checks that the folder can be used, before anything depends on it.

        Raises:
          OSError: it cannot.
        """

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """The content of a file, None if there is none.

        Raises:
          OSError: see the class.
        """

    @abc.abstractmethod
    def written(self, name: str) -> float | None:
        """When a file was last written, in seconds since the epoch; None if there is none.

        Raises:
          OSError: see the class.
        """

    @abc.abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Creates or replaces a file, and creates the folders that contain it.

        Raises:
          OSError: see the class; the file is unchanged.
        """

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file; a missing one is fine.

        Raises:
          OSError: see the class.
        """

    @abc.abstractmethod
    def remove_folder(self, name: str) -> None:
        """Removes all files below a folder; a missing one, or one that vanishes meanwhile, is fine.

        Raises:
          OSError: see the class.
        """

    def read_json(self, name: str, remedy: str = files.REMEDY) -> Any | None:
        """The JSON in a file, None if there is no such file.

        Args:
          name: of the file.
          remedy: what to do about a damaged one.

        Raises:
          CorruptState: the file holds no JSON.
          OSError: see the class.
        """
        data = self.read(name)
        return None if data is None else files.parse_json(data, self.where(name), remedy)

    @abc.abstractmethod
    def open_journal(self, take: Take) -> Journal:
        """Opens the search's journal for appending, and fences off its previous writer.

        Args:
          take: receives the entries so far, oldest first, before anything is changed; its exceptions propagate. It may
            be called again, with all entries, if another process has appended meanwhile.

        Raises:
          CorruptState: the journal is damaged.
          OSError: see the class.
        """

    @abc.abstractmethod
    def journal_position(self) -> int:
        """A number that grows with the entries of the journal, 0 before the first one. Cheap.

        Raises:
          OSError: see the class.
        """

    @abc.abstractmethod
    def journal_state(self) -> str:
        """`missing` or `empty`, for a journal without entries; used in messages."""

    @abc.abstractmethod
    def held(self, name: str, *, owner: str, wait_seconds: float) -> AbstractContextManager[Hold]:
        """Holds the lock with this name in this context.

        Args:
          name: of the file that represents the lock.
          owner: an earlier holder with the same owner is known to be dead: its lock is taken over at once if the
            storage itself cannot tell.
          wait_seconds: how long to wait for another live holder.

        Raises:
          Locked: another process holds it.
          OSError: see the class.
        """
