"""When a worker's process is replaced by a new one: between two trials, after a number of them or beyond a size.

Whatever libraries and the user's code accumulate from trial to trial is freed with the process; the search, the
worker's id and its state in the chief remain. How the new process is started depends on the cluster: see
`cluster/local.py` and `afresh.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from custom_components.distributed_tuner.host import memory
from custom_components.distributed_tuner.options import SearchOptions

# The share of its allowance that a worker may use. The rest is for the chief, for files being read, and for growth
# within the next trial, before the size is checked again.
_SHARE_OF_ALLOWANCE = 0.75
# A process that has hardly grown since its first trial would be replaced by one of the same size.
_LEAST_GROWTH = 1.1


class Renewed(BaseException):
    """This process is to be replaced. Not an Exception, so that it passes through the tuner's code uncaught."""


class Renewal:
    """Checks the process at the end of each trial.

    Args:
      options: the limits on the number of trials and the size.
      workers: how many workers share this machine's memory.
      resident: returns the current size of the process, bytes.
      allowance: returns what all workers here may use together, bytes.
      tidy: frees what memory it can.
    """

    def __init__(
        self,
        options: SearchOptions,
        workers: int = 1,
        *,
        resident: Callable[[], int] = memory.resident,
        allowance: Callable[[], int] = memory.allowance,
        tidy: Callable[[], None] = memory.tidy,
    ) -> None:
        self._most_trials = options.max_worker_trials
        given = options.max_worker_megabytes
        self._limit = given * 10**6 if given is not None else _SHARE_OF_ALLOWANCE * allowance() / max(1, workers)
        self._limit_words = (
            f"max_worker_megabytes={given}"
            if given is not None
            else f"three quarters of what it may have, {self._limit / 1e6:,.0f} MB"
        )
        self._resident = resident
        self._tidy = tidy
        self._trials = 0
        self._first = 0
        self._looks = False

    def trial_ended(self) -> bool:
        """A trial ends. Returns whether the process may have to be replaced, and should not take another trial yet."""
        self._trials += 1
        size = self._resident()
        self._first = self._first or size
        self._looks = self._over_trials() or self._over_size(size)
        return self._looks

    def reason(self) -> str | None:
        """Between two trials: why the process should be replaced now, for people; None if it should not."""
        if not self._looks:
            return None
        self._looks = False
        if self._over_trials():
            return f"{self._trials} trials (max_worker_trials={self._most_trials})"
        # The excess may be just the trial's model, which can be freed.
        self._tidy()
        size = self._resident()
        if self._over_size(size):
            return f"{size / 1e6:,.0f} MB ({self._limit_words}), after {self._trials} trials"
        return None

    def _over_trials(self) -> bool:
        return self._most_trials is not None and self._trials >= self._most_trials

    def _over_size(self, size: int) -> bool:
        return size > max(self._limit, _LEAST_GROWTH * self._first)
