"""The journal of a search: one line for each transition, on disk before it is acknowledged to anybody.

A line is `<crc32, 8 hex digits> <JSON>\\n`. What follows the last newline is torn: its writer died while writing it, so
it was never acknowledged, and it is cut off. A line with its newline was written whole and may have been acknowledged:
damage there is reported, never guessed away. A power failure may leave zeros among lines that were written together;
that cannot be distinguished from damage to an acknowledged line, so it is reported too.
"""

from __future__ import annotations

import abc
import json
import os
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.host import files, shortage

Entry = dict[str, Any]

# How long to wait for a transient shortage to pass; callers are patient for longer.
_SHORTAGE_SECONDS = 30.0
_PAUSE_SECONDS = 0.1


def encode(entry: Entry) -> bytes:
    """Encodes an entry as its line.

    Raises:
      TypeError: a value cannot be represented in JSON.
    """
    body = encoding.dumps(entry).encode()
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode(data: bytes, where: str) -> Iterator[tuple[int, Entry]]:
    """Yields (offset of the line's end in bytes, entry) for each line; ignores what follows the last newline.

    Args:
      data: lines.
      where: the path or address that they come from.

    Raises:
      CorruptState: a line is damaged.
    """
    offset = 0
    *lines, _ = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        entry = _parse(line)
        if entry is None:
            raise CorruptState(
                f"{where}, line {number}: the stored search is damaged (checksum does not match). The disk or a copy "
                f"of the directory is at fault. Restore the directory, or start a new search under another run id."
            )
        offset += len(line) + 1
        yield offset, entry


def read(path: Path) -> Iterator[Entry]:
    """Yields the entries of a journal, oldest first; ignores what follows the last newline.

    Raises:
      CorruptState: a line is damaged.
      OSError: the file cannot be read; a missing one counts as empty.
    """
    for _, entry in decode(_content(path), str(path)):
        yield entry


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _parse(line: bytes) -> Entry | None:
    checksum, _, body = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(body):
            return None
        entry = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


class _Batch:
    """Lines that are stored together."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.written: Future[None] = Future()


class Journal(abc.ABC):
    """Appends entries; those that arrive while the storage is busy are stored together.

    `append` is thread-safe; a subclass's methods are called from one thread of the journal's own.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._next: _Batch | None = None
        self._closing = False
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def append(self, entry: Entry) -> Future[None]:
        """Returns a future that is done once the entry is stored; it raises OSError if the storage refuses the entry.

        Entries that are stored together share a future.

        Raises:
          TypeError: a value cannot be represented in JSON.
        """
        line = encode(entry)
        with self._change:
            if self._next is None:
                self._next = _Batch()
                self._change.notify()
            self._next.lines.append(line)
            return self._next.written

    def close(self) -> None:
        """Stores what is queued, then ends."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()

    @abc.abstractmethod
    def check(self) -> None:
        """Checks that no other process has opened the journal since.

        Raises:
          OSError: one has, or the storage is unreachable.
        """

    @abc.abstractmethod
    def _store(self, lines: bytes) -> None:
        """Stores lines after those so far; when it returns, they are durable.

        Raises:
          OSError: the storage refuses. Part of the lines may have been stored. Nothing is stored after that.
        """

    def _take(self) -> _Batch | None:
        with self._change:
            self._change.wait_for(lambda: self._next is not None or self._closing)
            batch, self._next = self._next, None
            return batch

    def _write(self) -> None:
        while (batch := self._take()) is not None:
            try:
                # After a failed write the storage may hold half a line: nothing may follow it.
                if self._failure is not None:
                    raise self._failure
                self._store(b"".join(batch.lines))
            except Exception as error:
                # Whatever it is, somebody waits for an answer.
                told = error if isinstance(error, OSError) else OSError(f"{type(error).__name__}: {error}")
                self._failure = told
                batch.written.set_exception(told)
            else:
                batch.written.set_result(None)


class FileJournal(Journal):
    """A journal in a file, which has one writer: the chief that holds the search's lock."""

    def __init__(self, path: Path) -> None:
        """Opens `path` for appending, after cutting off a torn last line.

        Raises:
          CorruptState: a line is damaged.
          OSError: the file is not writable.
        """
        keep = 0
        for offset, _ in decode(_content(path), str(path)):
            keep = offset
        # Unbuffered: what the disk refused must not be written by a later flush.
        self._file = path.open("ab", buffering=0)
        self._file.truncate(keep)
        self._end = keep
        files.sync_directory(path.parent)
        super().__init__()

    def close(self) -> None:
        """See `Journal.close`."""
        super().close()
        self._file.close()

    def check(self) -> None:
        """See `Journal.check`: the lock keeps others out."""

    def _store(self, lines: bytes) -> None:
        until = time.monotonic() + _SHORTAGE_SECONDS
        while True:
            try:
                rest = memoryview(lines)
                while rest:
                    rest = rest[self._file.write(rest) :]
                os.fdatasync(self._file.fileno())
                break
            except OSError as error:
                if not shortage.passes(error) or time.monotonic() > until:
                    raise
            time.sleep(_PAUSE_SECONDS)
            # Nothing is known about how much was written.
            self._file.truncate(self._end)
        self._end += len(lines)
