"""Logs the search's progress in the chief's log, for readers who cannot read the search directory."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable

from custom_components.distributed_tuner.record import progress_line
from custom_components.distributed_tuner.record.record import SearchRecord, TrialRecord, TrialStatus

_LOG = logging.getLogger(__name__)

_EVERY_SECONDS = 15.0
_MARK = "progress: "
# The line format set by `process.set_up_logging`.
_LINE = re.compile(rf"(?P<time>\S+ \S+) I {re.escape(__name__)}: {_MARK}(?P<line>.*)")


class ProgressLog:
    """Logs the record so far in one line, if it has changed, at most every 15 s.

    Args:
      clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._trials: dict[str, TrialRecord] = {}
        self._record: SearchRecord | None = None
        self._told = -_EVERY_SECONDS

    def note(self, changed: SearchRecord) -> None:
        """Takes the record with only those trials that changed since the last call."""
        self._trials.update((trial.trial_id, trial) for trial in changed.trials)
        self._record = changed

    def tell(self, *, last: bool = False) -> None:
        """Writes the line if there is something new and it is due, or this is the last one."""
        now = self._clock()
        if self._record is None or (now - self._told < _EVERY_SECONDS and not last):
            return
        record = dataclasses.replace(self._record, trials=tuple(self._trials.values()))
        _LOG.info("%s%s", _MARK, progress_line.line(record, now, record.count(TrialStatus.RUNNING)))
        self._record, self._told = None, now


def last_in(log: str) -> tuple[str, str] | None:
    """(When the last such line in a log was written, by its writer's clock; the line); None if there is none."""
    for line in reversed(log.splitlines()):
        if found := _LINE.fullmatch(line.strip()):
            return found["time"].partition(",")[0], found["line"]
    return None
