"""Lost workers: each process counts once, and its trial is to blame until the cluster says that it is not."""

from __future__ import annotations

from custom_components.distributed_tuner.study.live_trial import Lease, Trial
from custom_components.distributed_tuner.study.trials import Trials


class Losses:
    """The processes that were lost, by worker and process, and the trials that are blamed."""

    def __init__(self) -> None:
        self._lost: set[tuple[str, str]] = set()
        self._counted: set[tuple[str, str]] = set()
        self._blamed: dict[tuple[str, str], tuple[str, int, int]] = {}  # -> trial, attempt, epochs

    def count(self, worker: str, process: str) -> bool:
        """A process was lost. Returns whether that is news: its lease ends first, and the cluster tells of it later."""
        if process and (worker, process) in self._lost:
            return False
        self._lost.add((worker, process))
        self._counted.add((worker, process))
        return True

    def ignore(self, worker: str, process: str) -> None:
        """A process was lost that counts for nothing; nor is it news when the cluster tells of it later."""
        self._lost.add((worker, process))

    def uncount(self, worker: str, process: str) -> bool:
        """Takes back a `count`, if there was one. Returns whether there was."""
        known = bool(process) and (worker, process) in self._counted
        self._counted.discard((worker, process))
        return known

    def blame(self, trial: Trial, lease: Lease) -> None:
        """The worker was lost with this trial, which got no further with it."""
        trial.fruitless_losses += 1
        self._blamed[lease.worker, lease.process] = (trial.trial_id, trial.attempt, trial.furthest)

    def forgive(self, worker: str, process: str, trials: Trials) -> None:
        """Takes back what the loss of a process was blamed on, unless that trial got on or began anew since."""
        trial_id, *then = self._blamed.pop((worker, process), ("", 0, 0))
        trial = trials.get(trial_id)
        if trial is not None and then == [trial.attempt, trial.furthest] and trial.fruitless_losses:
            trial.fruitless_losses -= 1
            trials.changed(trial)
