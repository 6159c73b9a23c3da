"""Lost workers: each process counts once, and its trial is blamed until the cluster reports another cause."""

from __future__ import annotations

from custom_components.distributed_tuner.study.live_trial import Lease, Trial
from custom_components.distributed_tuner.study.trials import Trials


class Losses:
    """The worker processes that were lost, and the trials blamed for it."""

    def __init__(self) -> None:
        self._lost: set[tuple[str, str]] = set()
        self._counted: set[tuple[str, str]] = set()
        self._blamed: dict[tuple[str, str], tuple[str, int, int]] = {}  # -> trial, attempt, epochs

    def count(self, worker: str, process: str) -> bool:
        """Counts a lost process. Returns whether that is new: its lease expires first, the cluster reports it later."""
        if process and (worker, process) in self._lost:
            return False
        self._lost.add((worker, process))
        self._counted.add((worker, process))
        return True

    def ignore(self, worker: str, process: str) -> None:
        """Records a lost process without counting it, neither now nor when the cluster reports it later."""
        self._lost.add((worker, process))

    def uncount(self, worker: str, process: str) -> bool:
        """Undoes a `count`. Returns whether there was one."""
        known = bool(process) and (worker, process) in self._counted
        self._counted.discard((worker, process))
        return known

    def blame(self, trial: Trial, lease: Lease) -> None:
        """Blames this trial, which made no progress under this lease, for the loss of its worker."""
        trial.fruitless_losses += 1
        self._blamed[lease.worker, lease.process] = (trial.trial_id, trial.attempt, trial.furthest)

    def forgive(self, worker: str, process: str, trials: Trials) -> None:
        """Undoes the blame for the loss of a process, unless the blamed trial has since progressed or been retried."""
        trial_id, *then = self._blamed.pop((worker, process), ("", 0, 0))
        trial = trials.get(trial_id)
        if trial is not None and then == [trial.attempt, trial.furthest] and trial.fruitless_losses:
            trial.fruitless_losses -= 1
            trials.changed(trial)
