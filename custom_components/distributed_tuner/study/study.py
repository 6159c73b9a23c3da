"""A search as a state machine: which worker holds which trial, which workers were lost, when the search is over.

The study knows nothing of the oracle, gRPC or files. What an oracle suggests or decides comes in as an argument, and
so does the time (seconds; any clock that never goes back). Not thread-safe.

A trial moves through these states, and no others:

    event                          from               to          the worker's lease
    -----------------------------  -----------------  ----------  ---------------------------------
    suggested                      (new)              RUNNING     begins
    suggested, nobody can take it  (new)              WAITING     none
    granted again (handed on)      WAITING            RUNNING     begins
    lease expired / worker gone    RUNNING            WAITING     ends, counts as lost
    given back (preemption)        RUNNING            WAITING     ends, counts as given back
    finished, oracle: completed    RUNNING, WAITING   COMPLETED   ends
    finished, oracle: failed       RUNNING, WAITING   FAILED      ends
    finished, tuner: dropped       RUNNING, WAITING   FAILED      ends; no failure in a row
    finished, oracle: retry        RUNNING, WAITING   WAITING     ends; earlier epochs are void
    the search was stopped         WAITING            STOPPED     none
    the search goes on             STOPPED            WAITING     none

COMPLETED and FAILED are final: a late or repeated result of such a trial changes nothing. A successful result from a
worker that lost its lease is accepted once, as long as the trial has not ended; the trial's current holder is told to
abandon it. A failure from such a worker is ignored: the trial has been handed to another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import Direction, Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.study.answers import (
    Aside,
    Ask,
    Directive,
    Grant,
    Holder,
    NoSuggestion,
    Result,
    StudyError,
    Suggested,
)
from custom_components.distributed_tuner.study.ledger import FINAL, Ledger
from custom_components.distributed_tuner.study.limits import Limits
from custom_components.distributed_tuner.study.search_state import SearchState
from custom_components.distributed_tuner.study.succession import Succession

# An oracle may answer "idle" while no trial runs (it waits for a result that can no longer come). This many such
# answers in a row end the search instead of letting its workers wait for ever.
MAX_BARREN_IDLES = 20


class Study:
    """The state of one search. See the module's table for what may happen to a trial."""

    def __init__(self, options: SearchOptions, *, max_consecutive_failures: int | None, now: float) -> None:
        self._options = options
        self._limits = Limits(options, max_consecutive_failures)
        self._ledger = Ledger(self._limits, now)
        self._trials = self._ledger.trials
        self._leases = self._ledger.leases
        self._succession = Succession()
        self._seen: dict[str, float] = {}
        self._renewed: set[str] = set()
        self._barren_idles = 0
        self._idle_version = -1

    # Calls from workers.

    def ask(self, worker: str, now: float, process: str = "") -> Grant | Ask:
        """A worker asks for a trial. One that holds a trial gets that trial again.

        Args:
          worker: the worker's id, which outlives its process.
          now: the time, seconds.
          process: distinguishes processes with the same worker id, one of them presumed dead. The latest one to start
            holds the trial; a replaced one gets REPLACED, and its later calls have no effect, except to deliver the
            result of a trial that has none.

        Returns:
          The trial granted, or what to do instead.
        """
        if not self._succession.begin(worker, process):
            return Ask.REPLACED
        self._hear(worker, now)
        lease = self._leases.of_worker(worker)
        if lease is not None:
            held = lease.trial_id
            if held in self._ledger.finishing:
                return Ask.WAIT
            if lease.process != process:
                self._ledger.lose(held, "another process of this worker asked for a trial", now)
                if self._search.ended is None and not self._limits.fruitless(self._trials[held]):
                    return self._ledger.lease(held, worker, process, now)
                self._ledger.end_if_over(now)
                return Ask.OVER if self.over else Ask.WAIT
            lease.expires = now + self._limits.lease_seconds(process)
            lease.alive, lease.inherited = now, False
            return Grant(held, self._trials[held].attempt)
        if self._search.stop_reason is not None or self.over:
            return Ask.OVER
        trial_id = self._ledger.next_waiting(worker)
        if trial_id is not None:
            return self._ledger.lease(trial_id, worker, process, now)
        if self._search.exhausted:
            # A waiting trial that `next_waiting` leaves out is about to fail.
            return Ask.WAIT if self._leases or self._ledger.finishing or self._ledger.waiting else Ask.OVER
        if self._idle_version == self._ledger.version and self._leases:
            return Ask.WAIT
        return Ask.SUGGEST

    def suggested(
        self,
        worker: str,
        suggestion: Suggested | NoSuggestion,
        now: float,
        process: str = "",
        aside: Aside = Aside(),  # noqa: B008, it cannot be changed
    ) -> Grant | Ask:
        """Takes the oracle's answer for a worker whose `ask` returned SUGGEST.

        Args:
          worker: the worker's id.
          suggestion: the oracle's answer.
          now: the time, seconds.
          process: the worker's process, see `ask`.
          aside: remarks on the oracle's answer.

        Returns:
          The answer to the worker. A trial that it cannot take waits for the next worker.

        Raises:
          StudyError: the oracle suggested a trial that runs or has ended.
        """
        if aside.repeated:
            self._ledger.note_repeat()
        if isinstance(suggestion, NoSuggestion):
            busy = bool(self._leases or self._ledger.finishing or self._ledger.waiting)
            if suggestion is NoSuggestion.EXHAUSTED or (suggestion is NoSuggestion.NOTHING_NEW and not busy):
                self._search.exhausted, self._search.ran_out = True, aside.ran_out
                self._ledger.touch()
                self._ledger.end_if_over(now)
                return Ask.WAIT if busy else Ask.OVER
            self._idle_version = self._ledger.version
            self._barren_idles = 0 if busy else self._barren_idles + 1
            if self._barren_idles >= MAX_BARREN_IDLES:
                self.stop("the oracle waits for a trial although none is running", now)
                return Ask.OVER
            return Ask.WAIT
        self._barren_idles = 0
        trial = self._trials.get(suggestion.trial_id)
        if trial is None:
            trial = self._trials.add(suggestion.trial_id, suggestion.hyperparameters)
        elif trial.status is not TrialStatus.WAITING:
            raise StudyError(f"the oracle suggested trial {trial.trial_id} again, which is {trial.status.value}")
        self._trials.changed(trial)
        self._ledger.withdraw(trial.trial_id)
        occupied = self._leases.of_worker(worker) is not None or self.replaced(worker, process)
        if self._search.stop_reason is not None or occupied:
            self._ledger.queue(trial.trial_id)
            if self._search.ended is not None:
                self._ledger.end(self._search.ended)
            return self.ask(worker, now, process)
        return self._ledger.lease(trial.trial_id, worker, process, now)

    def heartbeat(
        self, worker: str, trial_id: str | None, epochs: int | None, now: float, process: str = ""
    ) -> tuple[Directive, str]:
        """A worker reports that it is alive, and how many epochs its trial has finished (None before the first).

        Returns:
          (what the worker does with the trial, why).
        """
        if not self.replaced(worker, process):
            self._hear(worker, now)
        if trial_id is None:
            return Directive.CONTINUE, ""
        lease = self._leases.of_trial(trial_id)
        if lease is None or lease.worker != worker or lease.process not in ("", process):
            return Directive.ABANDON, f"trial {trial_id} is no longer held by {worker}"
        lease.expires = now + self._options.lease_seconds
        lease.heard, lease.alive, lease.inherited = True, now, False
        trial = self._trials[trial_id]
        # A heartbeat that a suspended chief reads after the trial's end is stale: the end counts.
        if epochs is not None and epochs != trial.epochs and trial_id not in self._ledger.finishing:
            trial.epochs = epochs
            if epochs > trial.furthest:
                # Epochs that are trained again, or were resumed from, are not progress.
                trial.furthest, lease.fruitful = epochs, True
                trial.fruitless_losses = trial.fruitless_releases = 0
            trial.progressed = now
            self._trials.changed(trial)
        if self._search.stop_reason is not None:
            lease.limit = self._search.stop_reason
            return Directive.FINISH, self._search.stop_reason
        lease.limit = self._limits.should_finish(lease, now) or lease.limit
        return (Directive.FINISH, lease.limit) if lease.limit else (Directive.CONTINUE, "")

    def replaced(self, worker: str, process: str) -> bool:
        """Whether a newer process of this worker has replaced this one, whose calls no longer count."""
        return self._succession.replaced(worker, process)

    def fault(self, worker: str, message: str) -> str | None:
        """A worker reports an error outside a trial. Returns why the caller must stop the search, else None."""
        self._search.faults += 1
        if self._search.faults == 1:
            self._search.first_fault = f"{worker}: {message}"
        self._ledger.touch()
        if self._search.stop_reason is not None or self.over:
            return None
        return self._limits.faults(self._search.faults, self._search.first_fault)

    def release(self, worker: str, trial_id: str, now: float, process: str = "") -> None:
        """A preempted worker gives its trial back; without effect from a process that does not hold it."""
        lease = self._leases.of_trial(trial_id)
        if lease is not None and self.holds(worker, trial_id, process) and trial_id not in self._ledger.finishing:
            lease.alive = now
            self._trials[trial_id].fruitless_releases += not lease.fruitful
            self._ledger.give_back(trial_id, Outcome.RELEASED, now)
            self._ledger.end_if_over(now)

    def renews(self, worker: str, process: str = "") -> None:
        """A worker's process exits to be replaced by a new one, from which nothing is heard until it has started."""
        if not self._succession.replaced(worker, process):
            self._seen.pop(worker, None)
            self._renewed.add(worker)

    def gone(self, worker: str, reason: str, now: float, process: str = "", fault: bool = True) -> str | None:
        """The cluster reports that this worker died; `tick` fails the trials that have cost too many workers.

        Args:
          worker: the worker's id.
          reason: how it died.
          now: the time, seconds.
          process: the process that died. The report may arrive after the worker's next process has started, which
            keeps what it has been granted since.
          fault: False if its machine was preempted or evicted: then neither the loss nor the silence before the report
            counts.

        Returns:
          The trial that it held, if any.
        """
        if not fault:
            self._ledger.forgive(worker, process)
        lease = self._leases.of_worker(worker)
        older = lease is not None and "" != process != lease.process != ""
        if not older and not self.replaced(worker, process):
            self._seen.pop(worker, None)
        if lease is None or older or lease.trial_id in self._ledger.finishing:
            if fault:
                self._ledger.count_loss(worker, process, reason, now)
            return None
        self._ledger.lose(lease.trial_id, reason, now, fault)
        self._ledger.end_if_over(now)
        return lease.trial_id

    def begin_finish(
        self,
        worker: str,
        trial_id: str,
        epochs: int | None = None,
        attempt: int | None = None,
        *,
        now: float,
        succeeded: bool = True,
        process: str = "",
    ) -> bool:
        """Decides whether a result counts. One from an earlier attempt, or a duplicate, does not.

        Nor does a failure from a worker that no longer holds the trial: it may have failed because the trial's next
        worker removed its files.

        If the result counts, the trial belongs to the caller until it calls `finished` or `unfinished`.

        Args:
          worker: who sent it.
          trial_id: the trial.
          epochs: how many epochs the trial finished, None if unknown.
          attempt: the attempt that it is the result of, None if unknown.
          now: the time, seconds.
          succeeded: whether the trial ran to its end.
          process: the worker's process, see `ask`.

        Returns:
          Whether it counts.

        Raises:
          StudyError: the worker never held this trial.
        """
        trial = self._trials.get(trial_id)
        if trial is None or all(stay.worker != worker for stay in trial.stays):
            raise StudyError(f"{worker} sent a result of trial {trial_id}, which it never held")
        over = trial.status in FINAL or trial.status is TrialStatus.STOPPED
        if over or trial_id in self._ledger.finishing or attempt not in (None, trial.attempt):
            return False
        if not succeeded and not self.holds(worker, trial_id, process):
            return False
        lease = self._leases.of_trial(trial_id)
        if lease is not None and self.holds(worker, trial_id, process):
            lease.alive = now
        self._ledger.finishing.add(trial_id)
        if epochs is not None:
            trial.epochs = epochs
            self._trials.changed(trial)
        return True

    def attempt(self, trial_id: str) -> int:
        """How many times this trial was retried from scratch."""
        return self._trials[trial_id].attempt

    def unfinished(self, trial_id: str) -> None:
        """The oracle could not be given the result; the trial is again as before `begin_finish`."""
        self._ledger.finishing.discard(trial_id)

    def finished(self, trial_id: str, result: Result, now: float, cut: str | None = None) -> None:
        """Ends a trial that `begin_finish` or `tick` handed out, with the oracle's verdict.

        Args:
          trial_id: the trial.
          result: the verdict.
          now: the time, seconds.
          cut: why the worker ended it before its last epoch, if it did: the reason given with FINISH.

        Raises:
          StudyError: the trial was not handed out.
        """
        if trial_id not in self._ledger.finishing:
            raise StudyError(f"trial {trial_id} was not being finished")
        self._ledger.finishing.discard(trial_id)
        self._search.faults = 0
        self._ledger.finish(trial_id, result, now, cut)
        self._ledger.end_if_over(now)

    # Effects of time, and of people.

    def tick(self, now: float) -> list[tuple[str, str]]:
        """Expires leases and enforces limits.

        Returns:
          (trial id, reason) of each trial that has to fail now. Each is as after `begin_finish`: the caller reports it
          to the oracle and calls `finished`.
        """
        doomed: list[tuple[str, str]] = []
        for lease in self._leases:
            if lease.trial_id in self._ledger.finishing:
                continue
            if lease.expires <= now:
                self._ledger.lose(
                    lease.trial_id, f"not heard of for {self._limits.lease_seconds(lease.process):g} s", now
                )
            elif reason := self._limits.must_fail(lease, self._trials[lease.trial_id], now):
                doomed.append((lease.trial_id, reason))
        for trial_id in self._ledger.waiting:
            if trial_id not in self._ledger.finishing and (reason := self._limits.fruitless(self._trials[trial_id])):
                doomed.append((trial_id, reason))
        self._ledger.finishing.update(trial_id for trial_id, _ in doomed)
        if reason := self._limits.search(now - self._search.session_started):
            self.stop(reason, now)
        self._ledger.end_if_over(now)
        return doomed

    def extend_leases(self, seconds: float) -> None:
        """Extends every lease: the chief itself was suspended or starved, so the workers' silence does not count."""
        for lease in self._leases:
            lease.expires += seconds
            self._trials[lease.trial_id].progressed += seconds

    def stop(self, reason: str, now: float) -> None:
        """Starts no further trials; running ones are told to end at their next epoch. Only the first reason is kept."""
        self._ledger.stop(reason, now)

    def abandon_running(self, now: float, *, unjudged: bool = False) -> None:
        """Ends the leases still running after a stop's grace period; their trials count as stopped.

        Args:
          now: the time, seconds.
          unjudged: whether trials whose result the oracle has not judged count as stopped too, as it never will.
        """
        if unjudged:
            self._ledger.finishing.clear()
        for lease in self._leases:
            if lease.trial_id not in self._ledger.finishing:
                self._ledger.give_back(lease.trial_id, Outcome.STOPPED, now)
        self._ledger.end_if_over(now)

    # Read access.

    @property
    def over(self) -> bool:
        """Whether nothing is left to do: no trial runs, and the oracle is exhausted or the search was stopped."""
        return self._ledger.over

    @property
    def stop_reason(self) -> str | None:
        """Why the search was stopped before the oracle was exhausted; None if it was not."""
        return self._search.stop_reason

    @property
    def repeated(self) -> bool:
        """Whether the oracle ever suggested a configuration tried before, which was replaced by another."""
        return self._search.repeated

    @property
    def faults(self) -> int:
        """How many errors outside a trial workers reported since a trial last ended."""
        return self._search.faults

    @property
    def version(self) -> int:
        """Grows with each change that may change the answer to `ask`."""
        return self._ledger.version

    @property
    def revision(self) -> int:
        """Grows with each change of the record."""
        return self._trials.revision

    def holder(self, trial_id: str) -> Holder | None:
        """Who holds this trial, None if nobody does."""
        lease = self._leases.of_trial(trial_id)
        return Holder(lease.worker, lease.process, self._trials[trial_id].attempt) if lease else None

    def holds(self, worker: str, trial_id: str, process: str) -> bool:
        """Whether this process of this worker holds this trial."""
        lease = self._leases.of_trial(trial_id)
        return lease is not None and lease.worker == worker and lease.process in ("", process)

    def workers(self, now: float) -> tuple[str, ...]:
        """The workers heard from within the last lease duration."""
        return tuple(sorted(w for w, seen in self._seen.items() if now - seen <= self._options.lease_seconds))

    @property
    def renewing(self) -> tuple[str, ...]:
        """The workers whose process exited to be replaced by a new one, which has not been heard from yet."""
        return tuple(sorted(self._renewed))

    def record(
        self,
        *,
        name: str,
        objective: str,
        direction: Direction,
        max_trials: int | None,
        notices: tuple[str, ...] = (),
        since: int = -1,
    ) -> SearchRecord:
        """The search as data: the trials that changed after revision `since`, in the order of their start.

        The other arguments are those fields of the record that the study does not know.
        """
        return SearchRecord(
            name=name,
            objective=objective,
            direction=direction,
            trials=self._trials.records(since),
            max_trials=max_trials,
            started=self._search.started,
            ended=self._search.ended,
            stop_reason=self._search.stop_reason,
            ran_out=self._search.ran_out,
            notices=notices,
        )

    # Durability: the caller stores what `changes` returns and passes it to `restore`, merged by trial id.

    def changes(self) -> dict[str, Any]:
        """What changed since the last call, as JSON-able data: {"trials": {id: state}, "processes": …, "study": …}."""
        begun = self._succession.take_unsaved()
        return {**self._ledger.take_unsaved(), **({"processes": begun} if begun else {})}

    def restore(
        self,
        state: Mapping[str, Any],
        now: float,
        *,
        go_on: bool,
        more: bool = False,
        results: Mapping[str, int] | None = None,
        told: float | None = None,
    ) -> frozenset[str]:
        """Restores a stored search. Workers that held a trial still hold it, with a full lease from now.

        Args:
          state: the merged patches of `changes`.
          now: the time, seconds.
          go_on: whether this is a new attempt at the search: an earlier stop is void, the counts of failures and losses
            and the search's time start again at zero, and the loss of an earlier attempt's workers does not count.
            False after a restart of the chief: all of these are kept.
          more: whether the oracle may have more trials in a new attempt, though it had none before.
          results: the attempt of each acknowledged result, by trial id, whether judged or not.
          told: the time of the last stored entry, until when workers holding a trial count as alive; `now` if left out.

        Returns:
          The trials whose result is still to be judged; each is as after `begin_finish`.
        """
        told = now if told is None else told
        self._ledger.put_back(state, now, go_on=go_on, more=more, results=results or {}, told=told)
        if not go_on:
            # Processes of an earlier attempt cannot reach this one, and their ids may be reused.
            self._succession.put_back(state.get("processes", {}))
        for lease in self._leases:
            self._succession.begin(lease.worker, lease.process)
        return frozenset(self._ledger.finishing)

    def requeued(self, trial_ids: frozenset[str]) -> None:
        """Takes out of the queue trials that wait in the oracle's own retry queue: the oracle will suggest them."""
        for trial_id in trial_ids:
            self._ledger.withdraw(trial_id)

    def _hear(self, worker: str, now: float) -> None:
        self._seen[worker] = now
        self._renewed.discard(worker)

    @property
    def _search(self) -> SearchState:
        return self._ledger.search
