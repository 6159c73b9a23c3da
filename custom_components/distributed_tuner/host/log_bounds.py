"""Keeps the logs of this machine's processes from growing without bound: a long one loses its middle.

A process, and whatever it starts, writes to its log through a descriptor of its own, even as it crashes, so no line can
be checked before it is written. Logs are cut afterwards, in place: an appending writer continues at the new end.
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

# A longer log is cut to its first bytes, which have the first error, and its last, which led to the end.
MOST_BYTES = 32 << 20
_FIRST_BYTES = 1 << 20
_LAST_BYTES = 8 << 20
# A program that does nothing but print writes some hundred megabytes between two checks.
_EVERY_SECONDS = 0.25

_MARK = re.compile(rb"\[([\d,]+) bytes are left out here\] *\n")
# The mark is written before the number is final.
_MARK_BYTES = 64
# A longer line may be cut in two.
_LONGEST_LINE = 4096
# How many times output written during a cut is carried over; what a fast-printing process adds after that is dropped.
_ROUNDS = 3


class LogBounds:
    """Watches the logs in one folder, in a thread of its own, until closed."""

    def __init__(self, folder: Path, every_seconds: float = _EVERY_SECONDS) -> None:
        self._folder = folder
        self._every = every_seconds
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-bounds", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Checks once more, and ends. May be called twice."""
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
    """Removes the middle of a log that has more than `most` bytes, and marks the gap.

    Args:
      log: the file, to which others may be appending (O_APPEND). What they write at the instant of the cut may be lost.
      most: the limit, in bytes.
      first: how many bytes are kept of its beginning, at most.
      last: how many are kept of its end, at least.

    Raises:
      OSError: the file cannot be read or written; a missing one is fine.
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
    """(how many bytes to keep, how many bytes earlier cuts left out, less the length of their mark)."""
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
