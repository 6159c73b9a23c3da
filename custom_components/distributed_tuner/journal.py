"""The durable record of a search: one line for each transition, on the disk before anybody is told of it.

A line is `<crc32, 8 hex digits> <JSON>\\n`. What follows the last newline is torn: its writer died while writing it, so
it was never acknowledged, and it is cut off. A line with its newline was written whole and may have been acknowledged:
damage there is reported, and nothing is guessed. Lines that were written together may be left, by a power cut, with
zeros in the midst of them; nobody can tell that from damage to an acknowledged line, so it is reported too.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner import files, patches
from custom_components.distributed_tuner.errors import CorruptState


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the entries of a journal, oldest first; what follows the last newline is left out.

    Raises:
      CorruptState: a line is damaged.
    """
    for _, entry in _entries(path):
        yield entry


def _entries(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (offset of the entry's end in bytes, entry)."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    offset = 0
    *lines, _ = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        entry = _parse(line)
        if entry is None:
            raise CorruptState(
                f"{path}, line {number}: the stored search is damaged (checksum does not match). The disk or a copy of "
                f"the directory is at fault. Restore the directory, or start a new search under another run id."
            )
        offset += len(line) + 1
        yield offset, entry


def _parse(line: bytes) -> dict[str, Any] | None:
    checksum, _, body = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(body):
            return None
        entry = json.loads(body)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


class _Batch:
    """Lines that go to the disk together."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.written: Future[None] = Future()


class Journal:
    """Appends entries; those that come while the disk is busy share the next sync.

    One writer a file: the chief holds the search's lock. `append` may be called from any thread.
    """

    def __init__(self, path: Path) -> None:
        """Opens `path` for appending, after cutting off a torn last line."""
        keep = 0
        for offset, _ in _entries(path):
            keep = offset
        self._path = path
        # Unbuffered: what the disk refused must not be written by a later flush.
        self._file = path.open("ab", buffering=0)
        self._file.truncate(keep)
        files.sync_directory(path.parent)
        self._change = threading.Condition()
        self._next: _Batch | None = None
        self._closing = False
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def append(self, entry: dict[str, Any]) -> Future[None]:
        """The future is done once the entry is on the disk; it raises OSError if the disk refuses it.

        Entries that go to the disk together have the same future.
        """
        body = patches.dumps(entry).encode()
        line = b"%08x %b\n" % (zlib.crc32(body), body)
        with self._change:
            if self._next is None:
                self._next = _Batch()
                self._change.notify()
            self._next.lines.append(line)
            return self._next.written

    def close(self) -> None:
        """Writes what is queued and ends."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()
        self._file.close()

    def _take(self) -> _Batch | None:
        with self._change:
            self._change.wait_for(lambda: self._next is not None or self._closing)
            batch, self._next = self._next, None
            return batch

    def _write(self) -> None:
        while (batch := self._take()) is not None:
            try:
                # After one failed write the file may end in half a line: nothing may follow it.
                if self._failure is not None:
                    raise self._failure
                rest = memoryview(b"".join(batch.lines))
                while rest:
                    rest = rest[self._file.write(rest) :]
                os.fdatasync(self._file.fileno())
            except OSError as error:
                self._failure = error
                batch.written.set_exception(error)
            else:
                batch.written.set_result(None)
