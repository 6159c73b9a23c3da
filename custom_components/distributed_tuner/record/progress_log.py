"""The chief tells in its log how the search goes, for whoever can read that and not the search directory."""

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
# As `process.set_up_logging` has it.
_LINE = re.compile(rf"(?P<time>\S+ \S+) I {re.escape(__name__)}: {_MARK}(?P<line>.*)")


class ProgressLog:
    """Puts the record so far into one line of the log, when it has changed, and now and then only.

    Args:
      clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._trials: dict[str, TrialRecord] = {}
        self._record: SearchRecord | None = None
        self._told = -_EVERY_SECONDS

    def note(self, changed: SearchRecord) -> None:
        """Takes the record with those trials only that changed since the last call."""
        self._trials.update((trial.trial_id, trial) for trial in changed.trials)
        self._record = changed

    def tell(self, *, last: bool = False) -> None:
        """Writes the line if there is something new and it is time, or this is the end."""
        now = self._clock()
        if self._record is None or (now - self._told < _EVERY_SECONDS and not last):
            return
        record = dataclasses.replace(self._record, trials=tuple(self._trials.values()))
        _LOG.info("%s%s", _MARK, progress_line.line(record, now, record.count(TrialStatus.RUNNING)))
        self._record, self._told = None, now


def last_in(log: str) -> tuple[str, str] | None:
    """When the last such line in a log was written, by the clock of its writer, and what it says."""
    for line in reversed(log.splitlines()):
        if found := _LINE.fullmatch(line.strip()):
            return found["time"].partition(",")[0], found["line"]
    return None
