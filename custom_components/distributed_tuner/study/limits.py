"""The limits of a search: pure decisions on when a lease, a trial or the whole search has to end, and the reason."""

from __future__ import annotations

from collections.abc import Sequence

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import TrialRecord
from custom_components.distributed_tuner.study.live_trial import Lease, Trial

_STOCK = "stock "


def stock_process(peer: str) -> str:
    """The process id of a keras-tuner worker, which sends none: it is made from its connection's peer."""
    return f"{_STOCK}{peer}"


def is_stock(process: str) -> bool:
    """Whether this is a keras-tuner worker, which sends no heartbeats: its lease lasts as long as a trial may take."""
    return process.startswith(_STOCK)


class Limits:
    """The limits set by a search's options. Times are seconds; each check returns the reason, None within the limit."""

    def __init__(self, options: SearchOptions, max_consecutive_failures: int | None) -> None:
        self._options = options
        self._max_row = options.max_consecutive_failures or max_consecutive_failures

    def lease_seconds(self, process: str) -> float:
        """How long a lease lasts without a sign of life from this process."""
        if is_stock(process) and self._options.max_trial_seconds is not None:
            return self._options.max_trial_seconds
        return self._options.lease_seconds

    def should_finish(self, lease: Lease, now: float) -> str | None:
        """Whether the trial should end at its next epoch."""
        limit = self._options.max_trial_seconds
        if limit is not None and now - lease.began > limit:
            return f"it ran longer than max_trial_seconds={limit:g}"
        return None

    def must_fail(self, lease: Lease, trial: Trial, now: float) -> str | None:
        """Whether the trial with this lease has to be ended from outside."""
        limit = self._options.max_epoch_seconds
        # A worker reports an epoch's end with its next heartbeat.
        silence = self._options.heartbeat_seconds
        if limit is not None and lease.heard and now - trial.progressed > limit + silence:
            return f"stuck: no epoch finished within max_epoch_seconds={limit:g}"
        limit = self._options.max_trial_seconds
        stayed = now - lease.began
        # Its last epoch gets as much time as the whole trial was allowed.
        if (
            limit is not None
            and stayed > limit + max(limit, self._options.grace_seconds)
            and not is_stock(lease.process)
        ):
            return (
                f"it ran longer than max_trial_seconds={limit:g}, and did not end within {stayed:.0f} s: it comes to "
                "no end of an epoch"
            )
        return None

    def fruitless(self, trial: Trial) -> str | None:
        """Whether so many workers were lost or preempted in a row without progress that the trial is given up."""
        if trial.fruitless_releases >= self._options.max_fruitless_releases:
            were = "was" if trial.fruitless_releases == 1 else "were"
            return (
                f"{_workers(trial.fruitless_releases)} {were} told to end (SIGTERM) before it finished an epoch. "
                "Likely machines are taken away sooner than one epoch takes: make the epochs shorter, or raise "
                "max_fruitless_releases. Or the trial sends the signal itself"
            )
        if trial.fruitless_losses < self._options.max_fruitless_losses:
            return None
        which = ":" if trial.fruitless_losses == 1 else ", the last:"
        return (
            f"{_workers(trial.fruitless_losses)} died with it and got no further{which} {trial.message}. "
            "Likely it needs more memory than a worker has, or crashes or hangs in native code"
        )

    def losses(self, lost_workers: int, last: str) -> str | None:
        """Whether the search ends after this many lost workers; `last` says how the last one was lost."""
        limit = self._options.max_lost_workers
        if limit is None or lost_workers < limit:
            return None
        if lost_workers == 1:
            return f"max_lost_workers={limit}: {last}"
        return f"{lost_workers} workers were lost (max_lost_workers={limit}); the last: {last}"

    def failures(self, row: int, failed: Sequence[TrialRecord]) -> str | None:
        """Whether the search ends after a failure.

        Args:
          row: how many trials failed in a row.
          failed: all failed trials, in the order in which they ended.
        """
        if self._max_row and row >= self._max_row:
            count = "1 trial failed" if row == 1 else f"{row} trials failed in a row"
            return f"{count}{_first(row)}{_told(failed[-row])}"
        limit = self._options.max_failed_trials
        if limit is not None and len(failed) >= limit:
            count = "1 trial" if len(failed) == 1 else f"{len(failed)} trials"
            return f"{count} failed in all (max_failed_trials={limit}){_first(len(failed))}{_told(failed[0])}"
        return None

    def faults(self, row: int, first: str) -> str | None:
        """Whether the search ends after this many worker errors outside a trial in a row; `first` is the first one."""
        if row < self._options.max_worker_faults:
            return None
        if row == 1:
            return f"a worker failed outside of a trial: {first}"
        return f"workers failed outside of a trial {row} times in a row; the first time: {first}"

    def search(self, seconds: float) -> str | None:
        """Whether the search ends after this many seconds."""
        limit = self._options.max_search_seconds
        return None if limit is None or seconds <= limit else f"the search reached max_search_seconds={limit:g}"


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers in a row"


def _first(count: int) -> str:
    return ": " if count == 1 else "; the first: "


def _told(trial: TrialRecord) -> str:
    return f"trial {trial.trial_id}: {trial.cause}"
