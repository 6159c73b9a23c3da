"""Keeps the logs of this machine's processes from growing without end: a long one loses its middle.

A process, and what it starts, writes to its log by a descriptor of its own, also as it crashes, so that nobody is asked
before a line is written. What is written is cut afterwards, in place: who writes at the end goes on at the new end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

_LOG = logging.getLogger(__name__)

# A log that is longer is cut to its first and its last bytes, in which the first error is, and what led to the end.
MOST_BYTES = 32 << 20
_FIRST_BYTES = 1 << 20
_LAST_BYTES = 8 << 20
# A program that does nothing but print gets some hundred megabytes further between two looks.
_EVERY_SECONDS = 0.25

_MARK = re.compile(rb"\[([\d,]+) bytes are left out here\] *\n")
# It is written before the number is known for good.
_MARK_BYTES = 64
# A longer line may be cut.
_LONGEST_LINE = 4096
# So often what is written during a cut is brought along; what a process that prints fast adds to it is left out too.
_ROUNDS = 3


class LogBounds:
    """Looks after the logs in one folder, in a thread of its own, until it is closed."""

    def __init__(self, folder: Path, every_seconds: float = _EVERY_SECONDS) -> None:
        self._folder = folder
        self._every = every_seconds
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-bounds", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Looks once more, and ends. May be called twice."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        told = False
        while True:
            last = self._closed.wait(self._every)
            try:
                for log in self._folder.glob("*.log"):
                    cut(log)
            except OSError as error:
                if not told:
                    _LOG.warning("the logs in %s cannot be kept short: %s", self._folder, error)
                told = True
            if last:
                return


def cut(log: Path, most: int = MOST_BYTES, first: int = _FIRST_BYTES, last: int = _LAST_BYTES) -> None:
    """Takes the middle out of a log that has more than `most` bytes, and says so there.

    Args:
      log: the file, which others append to (O_APPEND) meanwhile. What they write in the instant of the cut may be lost.
      most: in bytes.
      first: how many bytes are kept of its beginning, at most.
      last: how many are kept of its end, at least.

    Raises:
      OSError: the file cannot be read or written; one that is gone is fine.
    """
    with _opened(log) as file:
        if file is None or (size := os.fstat(file).st_size) <= most:
            return
        keep, left_out = _beginning(os.pread(file, first + _LONGEST_LINE, 0), first)
        start = max(keep, size - last - _LONGEST_LINE)
        end = os.pread(file, size - start, start)
        newline = end.find(b"\n", 0, _LONGEST_LINE)
        end = end[newline + 1 :] if newline >= 0 else end[_LONGEST_LINE:]
        left_out += size - len(end) - keep
        if keep and os.pread(file, 1, keep - 1) != b"\n":
            keep += _write(file, b"\n", keep)
        begin = keep + _write(file, _mark(left_out), keep)
        begin += _write(file, end, begin)
        for _ in range(_ROUNDS):
            more = os.pread(file, last, size)
            size += len(more)
            begin += _write(file, more, begin)
        left_out += os.fstat(file).st_size - size
        _write(file, _mark(left_out), keep)
        os.ftruncate(file, begin)


@contextlib.contextmanager
def _opened(log: Path) -> Iterator[int | None]:
    try:
        file = os.open(log, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        yield file
    finally:
        os.close(file)


def _beginning(data: bytes, first: int) -> tuple[int, int]:
    """(how many bytes to keep, how many earlier cuts left out, less what they put in their place)."""
    mark = _MARK.search(data)
    if mark:
        return mark.start(), int(mark[1].replace(b",", b"")) - len(mark[0])
    newline = data.rfind(b"\n", max(0, first - _LONGEST_LINE), first)
    return (newline + 1 if newline >= 0 else first), 0


def _mark(left_out: int) -> bytes:
    return f"[{left_out:,} bytes are left out here]".ljust(_MARK_BYTES - 1).encode() + b"\n"


def _write(file: int, data: bytes, position: int) -> int:
    rest = memoryview(data)
    while rest:
        rest = rest[os.pwrite(file, rest, position + len(data) - len(rest)) :]
    return len(data)
