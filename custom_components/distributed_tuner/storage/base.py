"""What a search needs of the place where its state is."""

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
    """The place refused or is out of reach. The message says what was tried, where, why, and what to do."""


class Fenced(StorageError):
    """Somebody else has taken the search over: nothing may be written, or told to anybody, any more."""


class Locked(Exception):
    """Somebody else, who is alive, holds what was asked for."""


class Hold(abc.ABC):
    """Something that one process holds at a time."""

    @abc.abstractmethod
    def check(self) -> None:
        """Tells whether it is still held.

        Raises:
          Locked: somebody else has taken it over, for this process was not heard of.
        """


class Storage(abc.ABC):
    """The files of one search, by names such as `search.json` and `project/trial_0/trial.json`.

    Files are read and written as a whole: a reader meets the earlier content or the new one, never half of it, and
    reads what was written last. Everything may be called from any thread. What the place refuses is an OSError whose
    message is for people; where waiting helps, it has waited already.

    Attributes:
      record_seconds: what is written for onlookers is written no more often.
    """

    record_seconds: float

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The path or address of the folder, as `open_storage` and TensorFlow take it."""

    @property
    @abc.abstractmethod
    def path(self) -> Path | None:
        """The folder on this machine, None where it is elsewhere."""

    def where(self, name: str) -> str:
        """The path or address of a file."""
        return f"{self.url}/{name}"

    def patient(self, seconds: float) -> Storage:
        """The same place, out of reach for so long before a call gives up; a local one always answers."""
        del seconds
        return self

    @abc.abstractmethod
    def prepare(self) -> None:
        """Makes sure that the folder can be used, before anything depends on it.

        Raises:
          OSError: it cannot.
        """

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none.

        Raises:
          OSError: see the class.
        """

    @abc.abstractmethod
    def written(self, name: str) -> float | None:
        """When a file was written last, seconds since the epoch; None where there is none.

        Raises:
          OSError: see the class.
        """

    @abc.abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Replaces a file, or makes it, with the folders that it lies in.

        Raises:
          OSError: see the class; the file is as before.
        """

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is fine.

        Raises:
          OSError: see the class.
        """

    @abc.abstractmethod
    def remove_folder(self, name: str) -> None:
        """Removes all files below a folder; one that is not there, or goes meanwhile, is fine.

        Raises:
          OSError: see the class.
        """

    def read_json(self, name: str, remedy: str = files.REMEDY) -> Any | None:
        """The JSON in a file, None where there is no such file.

        Raises:
          CorruptState: the file holds no JSON.
          OSError: see the class.
        """
        data = self.read(name)
        return None if data is None else files.parse_json(data, self.where(name), remedy)

    @abc.abstractmethod
    def open_journal(self, take: Take) -> Journal:
        """Opens the search's journal for appending. One process at a time does: whoever opens it ends what another
        one appends.

        Args:
          take: is given the entries so far, oldest first, before anything is changed; what it raises is passed on. It
            may be called again, with all entries, when somebody else has appended meanwhile.

        Raises:
          CorruptState: the journal is damaged.
          OSError: see the class.
        """

    @abc.abstractmethod
    def journal_position(self) -> int:
        """A number that grows with the entries of the journal, 0 before the first one. It costs little.

        Raises:
          OSError: see the class.
        """

    @abc.abstractmethod
    def journal_state(self) -> str:
        """`missing` or `empty`, of a journal without entries, for messages."""

    @abc.abstractmethod
    def held(self, name: str, *, owner: str, wait_seconds: float) -> AbstractContextManager[Hold]:
        """Holds the lock of this name while the context lasts.

        Args:
          name: of the file that stands for it.
          owner: whoever bears the same name is known to be dead: it is taken over at once where the place cannot tell.
          wait_seconds: how long somebody else, who is alive, is waited for.

        Raises:
          Locked: it is somebody else's.
          OSError: see the class.
        """
