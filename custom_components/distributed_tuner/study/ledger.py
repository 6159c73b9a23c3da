"""The books of a study (trials, leases, the search as a whole) and the transitions of its table, each one atomic.

`study` decides which transition an event causes. Each transition here leaves trial, lease and counters consistent, and
records what has to be stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner.record.record import Outcome, Stay, TrialStatus
from custom_components.distributed_tuner.study.answers import Grant, Result, Verdict
from custom_components.distributed_tuner.study.leases import Leases
from custom_components.distributed_tuner.study.limits import Limits, is_stock
from custom_components.distributed_tuner.study.live_trial import Lease
from custom_components.distributed_tuner.study.losses import Losses
from custom_components.distributed_tuner.study.search_state import SearchState
from custom_components.distributed_tuner.study.trials import Trials

FINAL = frozenset({TrialStatus.COMPLETED, TrialStatus.FAILED})


class Ledger:
    """The books of one search.

    Attributes:
      trials: all trials.
      leases: which worker holds which trial.
      losses: the worker processes that were lost.
      search: the search as a whole.
      finishing: the trials whose result the oracle is judging: nothing else may end them.
      version: grows with each change that may change the answer to a worker that asks for a trial.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self.trials = Trials()
        self.leases = Leases()
        self.losses = Losses()
        self.search = SearchState(now, now)
        self.finishing: set[str] = set()
        self.version = 0
        self._limits = limits
        self._waiting: list[str] = []
        self._search_changed = True
        self._saved: dict[str, Any] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing is left to do: no trial runs, and the oracle is exhausted or the search was stopped."""
        if self.leases or self.finishing:
            return False
        return self.search.stop_reason is not None or (self.search.exhausted and not self._pending())

    @property
    def waiting(self) -> tuple[str, ...]:
        """The trials queued for the next workers, in order; without those in the oracle's own retry queue."""
        return tuple(self._waiting)

    def next_waiting(self, worker: str) -> str | None:
        """The queued trial for this worker: preferably one that it held last, else the first; None if there is none."""
        # An idle worker may ask before the next tick: it must not get a trial that the tick will fail.
        waiting = [t for t in self._waiting if t not in self.finishing and not self._limits.fruitless(self.trials[t])]
        own = (trial_id for trial_id in waiting if self._last_worker(trial_id) == worker)
        return next(own, next(iter(waiting), None))

    def lease(self, trial_id: str, worker: str, process: str, now: float) -> Grant:
        """Leases a trial to a worker.

        Args:
          trial_id: the trial, which nobody holds.
          worker: the worker's id.
          process: its process, see `Study.ask`.
          now: the time, seconds.

        Returns:
          What the worker is granted.
        """
        trial = self.trials[trial_id]
        trial.status = TrialStatus.RUNNING
        trial.process = process
        trial.stays.append(Stay(worker, now, None, Outcome.RUNNING))
        self.withdraw(trial_id)
        trial.progressed = now
        self.leases.add(Lease(trial_id, worker, process, now, now + self._limits.lease_seconds(process), now))
        self.trials.changed(trial)
        return Grant(trial_id, trial.attempt)

    def queue(self, trial_id: str) -> None:
        """Queues this trial for the next worker that asks."""
        self._waiting.append(trial_id)
        self.touch()

    def withdraw(self, trial_id: str) -> None:
        """Takes this trial out of the queue."""
        self._waiting = [waiting for waiting in self._waiting if waiting != trial_id]

    def give_back(self, trial_id: str, outcome: Outcome, now: float) -> None:
        """Ends a lease before its trial has ended; the trial waits for the next worker."""
        self._end_lease(trial_id, outcome, now)
        self._wait(trial_id)

    def lose(self, trial_id: str, reason: str, now: float, fault: bool = True) -> None:
        """Ends a lease because its worker is gone.

        Args:
          trial_id: the trial.
          reason: how the worker was lost.
          now: the time, seconds.
          fault: whether the loss counts against the trial and the search.
        """
        trial, lease = self.trials[trial_id], self._end_lease(trial_id, Outcome.LOST, now)
        trial.message = f"worker {lease.worker} was lost: {reason}"
        if fault and not lease.fruitful and not lease.inherited:
            self.losses.blame(trial, lease)
        self._wait(trial_id)
        if lease.inherited:
            self.losses.ignore(lease.worker, lease.process)
        elif fault:
            self.count_loss(lease.worker, lease.process, reason, now)

    def finish(self, trial_id: str, result: Result, now: float, cut: str | None) -> None:
        """Ends a trial as its oracle decided; for the arguments see `Study.finished`."""
        trial = self.trials[trial_id]
        trial.score, trial.best_step = result.score, result.best_step
        completed = result.verdict is Verdict.COMPLETED
        trial.message = f"cut short: {cut}" if completed and cut else result.message
        if result.hyperparameters is not None:
            trial.hyperparameters = dict(result.hyperparameters)
        if self.leases.of_trial(trial_id) is not None:
            self._end_lease(trial_id, Outcome.COMPLETED if completed else Outcome.FAILED, now)
        self.withdraw(trial_id)
        if result.verdict is Verdict.RETRY:
            # The oracle has put the trial back in its queue.
            self.search.exhausted, self.search.ran_out = False, None
            trial.attempt += 1
            trial.epochs = trial.furthest = 0
            trial.fruitless_losses = trial.fruitless_releases = 0
            trial.status = TrialStatus.WAITING  # in the oracle's own queue: it comes back as a suggestion
        else:
            trial.status = TrialStatus.COMPLETED if completed else TrialStatus.FAILED
        self.trials.changed(trial)
        self._count_failures(result, now)
        self.touch()

    def count_loss(self, worker: str, process: str, reason: str, now: float) -> None:
        """Counts a lost worker process, unless it has been counted before."""
        if not self.losses.count(worker, process):
            return
        self.search.lost_workers += 1
        self._search_changed = True
        if told := self._limits.losses(self.search.lost_workers, f"worker {worker} was lost: {reason}"):
            self.stop(told, now)

    def forgive(self, worker: str, process: str) -> None:
        """A worker process was lost through no fault of its own: a loss already counted for its silence is undone."""
        self.losses.forgive(worker, process, self.trials)
        if self.losses.uncount(worker, process):
            self.search.lost_workers -= 1
            self._search_changed = True

    def note_repeat(self) -> None:
        """Records that the oracle suggested a configuration tried before. That is no reason to ask it again."""
        if not self.search.repeated:
            self.search.repeated = self._search_changed = True
            self.trials.touch()

    def stop(self, reason: str, now: float) -> None:
        """Starts no further trials. Only the first reason is kept."""
        if self.search.stop_reason is None and not self.over:
            self.search.stop_reason = reason
            self.touch()
            if not self.leases and not self.finishing:
                self.end(now)

    def end_if_over(self, now: float) -> None:
        """Ends the search if nothing is left to do."""
        if self.search.ended is None and self.over:
            self.end(now)

    def end(self, now: float) -> None:
        """Ends the search: trials that still wait will not run."""
        self.search.ended = now
        for trial in self.trials:
            if trial.status is TrialStatus.WAITING:
                trial.status = TrialStatus.STOPPED
                trial.message = trial.message or self.search.stop_reason
                self.trials.changed(trial)
        self._waiting.clear()
        self.touch()

    def touch(self) -> None:
        """Records a change to the search as a whole."""
        self.version += 1
        self.trials.touch()
        self._search_changed = True

    def take_unsaved(self) -> dict[str, Any]:
        """See `Study.changes`."""
        trials = self.trials.take_unsaved()
        patch: dict[str, Any] = {"trials": trials} if trials else {}
        if self._search_changed:
            self._search_changed = False
            state = self.search.to_state()
            # Most changes are a trial's alone.
            if state != self._saved:
                patch["study"] = self._saved = state
        return patch

    def put_back(
        self, state: Mapping[str, Any], now: float, *, go_on: bool, more: bool, results: Mapping[str, int], told: float
    ) -> None:
        """See `Study.restore`."""
        stored = state.get("study", {})
        self.search = SearchState.from_state(stored, now, go_on=go_on, more=more)
        for trial_id, trial_state in state.get("trials", {}).items():
            trial = self.trials.put_back(trial_id, trial_state)
            if trial.status is TrialStatus.STOPPED:
                trial.status = TrialStatus.WAITING
            if trial.status is TrialStatus.RUNNING:
                worker = trial.stays[-1].worker
                expires = now + self._limits.lease_seconds(trial.process)
                began = trial.stays[-1].started
                fruitful = trial.furthest > 0 and trial.fruitless_losses == trial.fruitless_releases == 0
                alive = max(began, min(told, now))
                lease = Lease(trial_id, worker, trial.process, began, expires, alive, heard=False, fruitful=fruitful)
                lease.inherited = go_on or began < self.search.session_started
                self.leases.add(lease)
            elif trial.status is TrialStatus.WAITING:
                self._waiting.append(trial_id)
            if results.get(trial_id) == trial.attempt and trial.status not in FINAL:
                self.finishing.add(trial_id)
            if go_on:
                trial.fruitless_losses = trial.fruitless_releases = 0
            self.trials.changed(trial)
        if self.over:
            self.end(stored.get("ended") or now)
        self.touch()

    def _last_worker(self, trial_id: str) -> str | None:
        stays = self.trials[trial_id].stays
        return stays[-1].worker if stays else None

    def _pending(self) -> bool:
        return any(trial.status is TrialStatus.WAITING for trial in self.trials)

    def _end_lease(self, trial_id: str, outcome: Outcome, now: float) -> Lease:
        trial, lease = self.trials[trial_id], self.leases.end(trial_id)
        # A stay that nobody ended lasts until its worker's last sign of life: the chief may have been down since.
        ended = now if is_stock(lease.process) and lease.heard else lease.alive
        trial.stays[-1] = dataclasses.replace(trial.stays[-1], ended=ended, outcome=outcome)
        self.trials.changed(trial)
        return lease

    def _wait(self, trial_id: str) -> None:
        trial = self.trials[trial_id]
        trial.status = TrialStatus.WAITING
        self._waiting.append(trial_id)
        self.trials.changed(trial)
        self.touch()

    def _count_failures(self, result: Result, now: float) -> None:
        if result.verdict in (Verdict.COMPLETED, Verdict.DROPPED):
            self.search.consecutive_failures = 0
        if result.verdict is not Verdict.FAILED:
            return
        self.search.consecutive_failures += 1
        failed = [trial.to_record() for trial in self.trials if trial.status is TrialStatus.FAILED]
        failed = [trial for trial in failed if (trial.ended or now) >= self.search.session_started]
        failed.sort(key=lambda trial: trial.ended or 0.0)
        if reason := self._limits.failures(self.search.consecutive_failures, failed):
            self.stop(reason, now)
