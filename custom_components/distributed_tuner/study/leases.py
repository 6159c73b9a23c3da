"""Which worker holds which trial: at most one worker per trial, and one trial per worker."""

from __future__ import annotations

from collections.abc import Iterator

from custom_components.distributed_tuner.study.live_trial import Lease


class Leases:
    """The leases of the running trials."""

    def __init__(self) -> None:
        self._by_trial: dict[str, Lease] = {}
        self._by_worker: dict[str, Lease] = {}

    def __len__(self) -> int:
        return len(self._by_trial)

    def __iter__(self) -> Iterator[Lease]:
        return iter(tuple(self._by_trial.values()))

    def add(self, lease: Lease) -> None:
        """Adds the lease of a worker that holds no trial, on a trial that nobody holds."""
        assert lease.trial_id not in self._by_trial and lease.worker not in self._by_worker, lease
        self._by_trial[lease.trial_id] = self._by_worker[lease.worker] = lease

    def end(self, trial_id: str) -> Lease:
        """Ends and returns the lease of this trial, which must have one."""
        lease = self._by_trial.pop(trial_id)
        del self._by_worker[lease.worker]
        return lease

    def of_trial(self, trial_id: str) -> Lease | None:
        """The lease of this trial, None if nobody holds it."""
        return self._by_trial.get(trial_id)

    def of_worker(self, worker: str) -> Lease | None:
        """The lease that this worker has, None if it holds no trial."""
        return self._by_worker.get(worker)
