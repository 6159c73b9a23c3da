"""Keeps the files and the log that others read of a running search up to date, in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from custom_components.distributed_tuner.chief.durable_state import DurableState, NotPublished
from custom_components.distributed_tuner.record.progress_log import ProgressLog
from custom_components.distributed_tuner.record.record import SearchRecord

_LOG = logging.getLogger(__name__)

_FILES = "record.json and keras-tuner's files"
_ORACLE_SECONDS = 5.0
# Writing takes at most this share of the chief's time, however large the search.
_SHARE = 0.05
# A write that waited for an unreachable bucket took no work, and must not stretch the pause without limit.
_LONGEST_PAUSE_SECONDS = 60.0


class Published:
    """Writes the record and keras-tuner's files, always after the journal.

    Args:
      store: writes them.
      record: returns the trials that changed since a revision, as a record.
      revision: returns the record's current revision.
      ask_oracle: requests `Oracle.get_state()` as JSON and passes it to the given callback; returns the task, or None
        if the oracle has been given up.
      clock: seconds.
    """

    def __init__(
        self,
        store: DurableState,
        record: Callable[[int], SearchRecord],
        revision: Callable[[], int],
        ask_oracle: Callable[[Callable[[str], None]], asyncio.Task[None] | None],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._record = record
        self._revision = revision
        self._ask_oracle = ask_oracle
        self._clock = clock
        self._progress = ProgressLog(clock)
        self._written = -1
        self._refused = False

    async def keep(self) -> None:
        """Writes what has changed, periodically, until it is cancelled.

        Raises:
          OSError: the journal cannot be written.
        """
        oracle_stored = self._clock()
        pause = self._store.record_seconds
        asked: asyncio.Task[None] | None = None
        told: list[str] = []
        while True:
            await asyncio.sleep(pause)
            began = self._clock()
            if self._written == self._revision():
                await asyncio.to_thread(self._progress.tell)
                continue
            # A slow oracle delays only its own file.
            if (asked is None or asked.done()) and began - oracle_stored >= _ORACLE_SECONDS:
                oracle_stored = began
                asked = self._ask_oracle(told.append)
                if asked is not None:
                    await asyncio.wait([asked], timeout=self._store.record_seconds)
            oracle_state = told.pop() if told else None
            written = self._clock()
            await self._try(oracle_state)
            share = (self._clock() - written) / _SHARE
            pause = max(self._store.record_seconds, min(share, _LONGEST_PAUSE_SECONDS))

    def write(self, oracle_state: str | None) -> None:
        """Writes what has changed, for the last time; a file that cannot be written stays as it is.

        Raises:
          OSError: the journal cannot be written.
        """
        try:
            self._write(self._record(self._written), oracle_state, last=True)
        except NotPublished as error:
            _LOG.error("%s are left behind the journal, which has everything: %s", _FILES, error)

    async def _try(self, oracle_state: str | None) -> None:
        """Writes what has changed; what cannot be written is retried at the next interval."""
        before = self._written
        changed, self._written = self._record(before), self._revision()
        try:
            await asyncio.to_thread(self._write, changed, oracle_state)
        except NotPublished as error:
            self._written = before
            if not self._refused:
                _LOG.warning("%s cannot be written, and are tried again; the search goes on: %s", _FILES, error)
            self._refused = True
        else:
            if self._refused:
                _LOG.info("%s are up to date again", _FILES)
            self._refused = False

    def _write(self, changed: SearchRecord, oracle_state: str | None, *, last: bool = False) -> None:
        self._store.write_files(changed, oracle_state)
        self._progress.note(changed)
        self._progress.tell(last=last)
