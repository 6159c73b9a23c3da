"""A journal in a bucket. Objects cannot be appended to, so each batch of entries is an object of its own.

    journal/000000000042                   a batch: a line that names its writer, then the entries
    journal/000000000043                   an opening: here a chief opened the journal
    journal/000000000001-000000000256      the batches with these numbers in one object; they are removed after that

Each number is created once (`ifGenerationMatch=0`), and a writer creates its numbers in order. So a chief that opens
the journal behind the last number takes the next one from the previous chief, which learns of it when it stores its
next batch: it has lost the journal, and ends. What it stored before that is part of the history.

A number that was removed could be created again. Openings are never removed: the next number of a stale writer is an
opening, however far the journal has grown. After opening, a chief checks once more, since it may itself have become
stale between reading and opening.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import re
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence

from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.storage import journal
from custom_components.distributed_tuner.storage.base import Fenced, StorageError, Take
from custom_components.distributed_tuner.storage.bucket import Bucket, Listed
from custom_components.distributed_tuner.storage.journal import Entry

_LOG = logging.getLogger(__name__)

# This many batches are merged into one object: fewer than that remain to be read one by one at a restart.
MERGED = 256

_OPENING_ATTEMPTS = 20
_LOOKS = 3
_HEADER = "batch"
# Shorter than any batch, so that a listing distinguishes them. The same for all chiefs.
_OPENING = journal.encode({_HEADER: 0})


_NAME = re.compile(r"(\d{12})(?:-(\d{12}))?")


@dataclasses.dataclass(frozen=True)
class Layout:
    """The objects of a journal.

    Attributes:
      segments: merged batches, in order.
      merged_to: the last number that is in a segment, 0 if there is none.
      batches: those after it, in order, without a gap; includes openings.
      merged: batches that are in a segment but not removed yet; excludes openings, which stay.
    """

    segments: tuple[Listed, ...]
    merged_to: int
    batches: tuple[Listed, ...]
    merged: tuple[Listed, ...]

    @classmethod
    def of(cls, objects: Iterable[Listed], prefix: str, where: str) -> Layout:
        """Classifies the objects of a journal.

        Args:
          objects: in the order of their names.
          prefix: the prefix of their names.
          where: the journal's address, for messages.

        Raises:
          CorruptState: an object is missing.
        """
        segments: list[Listed] = []
        singles: list[tuple[int, Listed]] = []
        merged_to = 0
        for found in objects:
            match = _NAME.fullmatch(found.name.removeprefix(prefix))
            if match is not None and match[2] is None:
                singles.append((int(match[1]), found))
            elif match is not None:
                if int(match[1]) != merged_to + 1:
                    raise _gap(where, merged_to + 1, found)
                segments.append(found)
                merged_to = int(match[2])
        batches = [(number, found) for number, found in singles if number > merged_to]
        for expected, (number, found) in enumerate(batches, start=merged_to + 1):
            if number != expected:
                raise _gap(where, expected, found)
        merged = tuple(found for number, found in singles if number <= merged_to and not _is_opening(found))
        return cls(tuple(segments), merged_to, tuple(found for _, found in batches), merged)

    @property
    def last(self) -> int:
        """The last number of all, 0 if there is none."""
        return self.merged_to + len(self.batches)

    @property
    def last_entries(self) -> int:
        """The last number with entries, 0 if there is none."""
        numbered = enumerate(self.batches, self.merged_to + 1)
        return max((number for number, batch in numbered if not _is_opening(batch)), default=self.merged_to)


def look(bucket: Bucket, prefix: str) -> Layout:
    """Lists the objects of the journal below `prefix`.

    Args:
      bucket: where the journal is.
      prefix: the prefix of its objects' names.

    Raises:
      CorruptState: an object is missing.
      OSError: see `Bucket`.
    """
    for _ in range(_LOOKS):
        try:
            return Layout.of(bucket.list(prefix), prefix, _where(bucket, prefix))
        except CorruptState:
            # A long listing comes in pages, and objects may be merged between two pages.
            continue
    return Layout.of(bucket.list(prefix), prefix, _where(bucket, prefix))


class _Moved(Exception):
    """Another process has changed the journal meanwhile."""


class BucketJournal(journal.Journal):
    """The journal of one chief; see the module. Created by `open`."""

    def __init__(self, bucket: Bucket, prefix: str, layout: Layout, unmerged: Sequence[bytes]) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._writer = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._merged_to = layout.merged_to
        # The contents of the batches after the last segment.
        self._unmerged = [*unmerged, _OPENING]
        self._number = layout.last + 2
        self._merging: threading.Thread | None = None
        super().__init__()

    @classmethod
    def open(cls, bucket: Bucket, prefix: str, take: Take) -> BucketJournal:
        """Opens the journal below `prefix`, see `Storage.open_journal`."""
        for _ in range(_OPENING_ATTEMPTS):
            layout = look(bucket, prefix)
            try:
                unmerged = [_there(data) for data in bucket.get_all([batch.name for batch in layout.batches])]
                take(_entries(bucket, prefix, layout, unmerged))
            except _Moved:
                continue
            opening = layout.last + 1
            # All openings have the same content: one in the way counts as somebody else's.
            if bucket.put_if(_name(prefix, opening), _OPENING, 0, unique=False) is None:
                continue
            if look(bucket, prefix).last == opening:
                opened = cls(bucket, prefix, layout, unmerged)
                opened._remove(batch.name for batch in layout.merged)
                return opened
        raise StorageError(
            f"{_where(bucket, prefix)}: cannot be opened: other chiefs write to it all the time. End them, and run the "
            f"same run id again"
        )

    def close(self) -> None:
        """See `Journal.close`."""
        super().close()
        if self._merging is not None:
            self._merging.join()

    def check(self) -> None:
        """See `Journal.check`."""
        number = self._number
        found = self._bucket.get(_name(self._prefix, number))
        # The batch that is being stored at this moment may exist already.
        if found is not None and not found[0].startswith(self._header(number)):
            raise self._fenced()

    def _store(self, lines: bytes) -> None:
        data = self._header(self._number) + lines
        if self._bucket.put_if(_name(self._prefix, self._number), data, 0) is None:
            raise self._fenced()
        with self._lock:
            self._unmerged.append(data)
            full = len(self._unmerged) >= MERGED
        self._number += 1
        if full and (self._merging is None or not self._merging.is_alive()):
            self._merging = threading.Thread(target=self._merge, name="journal-merge", daemon=True)
            self._merging.start()

    def _header(self, number: int) -> bytes:
        return journal.encode({_HEADER: number, "writer": self._writer})

    def _fenced(self) -> Fenced:
        return Fenced(
            f"{_where(self._bucket, self._prefix)}: another chief has taken this search over and writes here now. This "
            f"one ends"
        )

    def _merge(self) -> None:
        """Stores the oldest batches again as one object, and removes them. Runs in parallel with `_store`."""
        while len(self._unmerged) >= MERGED:
            first, last = self._merged_to + 1, self._merged_to + MERGED
            batches = self._unmerged[:MERGED]
            name = f"{_name(self._prefix, first)}-{last:012d}"
            try:
                if self._bucket.put_if(name, b"".join(batches), 0) is None:
                    raise StorageError(f"gs://{self._bucket.name}/{name} holds other entries than its batches")
            except OSError as error:
                # Nothing is lost: the next start has more to read.
                _LOG.warning("objects of the journal could not be merged: %s", error)
                return
            with self._lock:
                del self._unmerged[:MERGED]
            self._merged_to = last
            self._remove(_name(self._prefix, first + index) for index, batch in enumerate(batches) if batch != _OPENING)

    def _remove(self, merged: Iterable[str]) -> None:
        try:
            self._bucket.delete_all(list(merged))
        except OSError as error:
            _LOG.warning("merged objects of the journal could not be removed: %s", error)


def _entries(bucket: Bucket, prefix: str, layout: Layout, unmerged: Iterable[bytes]) -> Iterator[Entry]:
    segments = bucket.get_all([segment.name for segment in layout.segments])
    names = [found.name for found in (*layout.segments, *layout.batches)]
    for name, data in zip(names, itertools.chain(map(_there, segments), unmerged), strict=True):
        where = f"gs://{bucket.name}/{name}"
        first, _, last = name.removeprefix(prefix).partition("-")
        if not data.endswith(b"\n"):
            raise _damaged(where, "its last line has no end")
        for _, entry in journal.decode(data, where):
            if _HEADER not in entry:
                yield entry
            elif entry[_HEADER] and not int(first) <= entry[_HEADER] <= int(last or first):
                raise _damaged(where, f"it holds the batch number {entry[_HEADER]}")


def _is_opening(found: Listed) -> bool:
    return found.size == len(_OPENING)


def _there(data: bytes | None) -> bytes:
    if data is None:
        raise _Moved
    return data


def _name(prefix: str, number: int) -> str:
    return f"{prefix}{number:012d}"


def _where(bucket: Bucket, prefix: str) -> str:
    return f"gs://{bucket.name}/{prefix}".rstrip("/")


def _gap(where: str, expected: int, found: Listed) -> CorruptState:
    name = found.name.rpartition("/")[2]
    return _damaged(where, f"number {expected:012d} is missing, but there is {name}")


def _damaged(where: str, what: str) -> CorruptState:
    return CorruptState(
        f"{where}: the stored search is damaged: {what}. Restore the object from an earlier version, if the bucket "
        f"keeps them, or start a new search under another run id."
    )
