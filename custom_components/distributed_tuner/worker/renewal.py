"""When a worker's process gives way to a fresh one: between two trials, beyond a number of them or a size.

What libraries and the user's code keep from trial to trial is gone with the process; the search, the worker's id and
its place in the books of the chief stay. How the fresh one comes about depends on the place: see `cluster/local.py` and
`afresh.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from custom_components.distributed_tuner.host import memory
from custom_components.distributed_tuner.options import SearchOptions

# Of what a worker may have. The rest is for the chief, for files that are being read, and for the trial that would grow
# beyond it before it is looked at again.
_SHARE_OF_ALLOWANCE = 0.75
# A process that is as large after its first trial as it is now would be followed by one of the same size.
_LEAST_GROWTH = 1.1


class Renewed(BaseException):
    """This process gives way to a fresh one. No error: it goes through the tuner's code, and nobody else catches it."""


class Renewal:
    """Looks at the process at the end of each trial.

    Args:
      options: with the number of trials and the size.
      workers: how many share this machine's memory.
      resident: the size of the process now, bytes.
      allowance: what all workers here may have together, bytes.
      tidy: gives back what can be given back.
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
        """A trial ends. Returns whether the process may be due then, and should not take another trial yet."""
        self._trials += 1
        size = self._resident()
        self._first = self._first or size
        self._looks = self._over_trials() or self._over_size(size)
        return self._looks

    def reason(self) -> str | None:
        """Between two trials: why the process should give way now, for people; None if it should not."""
        if not self._looks:
            return None
        self._looks = False
        if self._over_trials():
            return f"{self._trials} trials (max_worker_trials={self._most_trials})"
        # The trial's model may be all that was too much, and can go.
        self._tidy()
        size = self._resident()
        if self._over_size(size):
            return f"{size / 1e6:,.0f} MB ({self._limit_words}), after {self._trials} trials"
        return None

    def _over_trials(self) -> bool:
        return self._most_trials is not None and self._trials >= self._most_trials

    def _over_size(self, size: int) -> bool:
        return size > max(self._limit, _LEAST_GROWTH * self._first)
