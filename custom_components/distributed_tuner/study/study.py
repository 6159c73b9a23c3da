"""A search as a state machine: who holds which trial, what was lost, when it is over.

The study knows neither the oracle, nor gRPC, nor files. What an oracle suggests or decides comes in as an argument, and
so does the time (seconds; any clock that never goes back). One thread calls it.

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

COMPLETED and FAILED are final: a late or repeated result of such a trial changes nothing. A result from a worker that
lost its lease is taken while the trial has not ended, once; whoever holds the trial by then is told to abandon it. The
failure of such a worker is not: the trial is somebody else's to run.
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

# An oracle may answer "idle" while no trial runs (it waits for a result that can no longer come). So many answers in a
# row end the search instead of letting its workers wait for ever.
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

    # What a worker asks and tells.

    def ask(self, worker: str, now: float, process: str = "") -> Grant | Ask:
        """A worker wants a trial. One that holds a trial gets that trial again.

        Args:
          worker: the worker's id, which outlives its process.
          now: the time, seconds.
          process: tells apart two processes that bear the same id, one of them thought dead. The last one to begin
            holds the trial; one whose place it took is told so, and what it says from then on changes nothing but to
            bring the result of a trial that has none.
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
            # What waits and is not handed on is about to fail.
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
        """The oracle's answer for a worker that was told SUGGEST. A trial nobody can take waits for the next worker."""
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
        """A worker lives; `epochs` counts the epochs of its trial so far. Answers what to do and why."""
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
        # One that a suspended chief hears after the trial's end is older than the end, which had the last word.
        if epochs is not None and epochs != trial.epochs and trial_id not in self._ledger.finishing:
            trial.epochs = epochs
            if epochs > trial.furthest:
                # Epochs that are trained again, or were finished before, are no sign that the trial gets anywhere.
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
        """Whether another process of this worker has taken this one's place, whose word counts no more."""
        return self._succession.replaced(worker, process)

    def fault(self, worker: str, message: str) -> str | None:
        """A worker met an error outside of a trial. Returns why the caller has to stop the search, if so."""
        self._search.faults += 1
        if self._search.faults == 1:
            self._search.first_fault = f"{worker}: {message}"
        self._ledger.touch()
        if self._search.stop_reason is not None or self.over:
            return None
        return self._limits.faults(self._search.faults, self._search.first_fault)

    def release(self, worker: str, trial_id: str, now: float, process: str = "") -> None:
        """A preempted worker gives its trial back; a process that does not hold it has nothing to give."""
        lease = self._leases.of_trial(trial_id)
        if lease is not None and self.holds(worker, trial_id, process) and trial_id not in self._ledger.finishing:
            lease.alive = now
            self._trials[trial_id].fruitless_releases += not lease.fruitful
            self._ledger.give_back(trial_id, Outcome.RELEASED, now)
            self._ledger.end_if_over(now)

    def renews(self, worker: str, process: str = "") -> None:
        """A worker's process gives way to a fresh one, which is not heard of before it has begun."""
        if not self._succession.replaced(worker, process):
            self._seen.pop(worker, None)
            self._renewed.add(worker)

    def gone(self, worker: str, reason: str, now: float, process: str = "", fault: bool = True) -> str | None:
        """The cluster saw this worker die. Returns the trial it held, if any; see `tick` for those that fail of it.

        The news may be older than the worker's next process, which keeps what it has been granted since. Without
        `fault` its machine was taken away: that is held against nobody, nor is the silence before the news.
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
        """Whether this result, after so many epochs, counts. One of an earlier attempt, or sent twice, does not.

        Nor does the failure of a worker that does not hold the trial any more: what it failed of may be just that, its
        files having been cleared away by the next one.

        If so the trial is the caller's until it calls `finished` or `unfinished`.

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
        """How many times this trial was started afresh."""
        return self._trials[trial_id].attempt

    def unfinished(self, trial_id: str) -> None:
        """The result could not be brought to the oracle; the trial is as before `begin_finish`."""
        self._ledger.finishing.discard(trial_id)

    def finished(self, trial_id: str, result: Result, now: float, cut: str | None = None) -> None:
        """The oracle's verdict on a trial that `begin_finish` or `tick` handed out.

        Args:
          trial_id: the trial.
          result: the verdict.
          now: the time, seconds.
          cut: why the worker ended it before its last epoch, if it did: the reason of the FINISH that it obeyed.
        """
        if trial_id not in self._ledger.finishing:
            raise StudyError(f"trial {trial_id} was not being finished")
        self._ledger.finishing.discard(trial_id)
        self._search.faults = 0
        self._ledger.finish(trial_id, result, now, cut)
        self._ledger.end_if_over(now)

    # What time and people bring about.

    def tick(self, now: float) -> list[tuple[str, str]]:
        """Expires leases and enforces limits.

        Returns:
          (trial id, reason) of each trial that has to fail now. Each is as after `begin_finish`: the caller brings it
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
        """The chief itself was away (suspended, starved): no worker is to blame for silence meanwhile."""
        for lease in self._leases:
            lease.expires += seconds
            self._trials[lease.trial_id].progressed += seconds

    def stop(self, reason: str, now: float) -> None:
        """No trial is started from now on; running ones are told to end at their next epoch. The first reason stays."""
        self._ledger.stop(reason, now)

    def abandon_running(self, now: float, *, unjudged: bool = False) -> None:
        """Ends the leases that a stop left running past its grace; their trials count as stopped.

        Args:
          now: the time, seconds.
          unjudged: whether trials whose result is still to be judged count as stopped too, since nobody will judge it.
        """
        if unjudged:
            self._ledger.finishing.clear()
        for lease in self._leases:
            if lease.trial_id not in self._ledger.finishing:
                self._ledger.give_back(lease.trial_id, Outcome.STOPPED, now)
        self._ledger.end_if_over(now)

    # What others read.

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
        """Whether the oracle suggested what had been tried before, in the place of which something else was found."""
        return self._search.repeated

    @property
    def faults(self) -> int:
        """How many times workers met an error outside of a trial since a trial last ended."""
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
        """The workers heard of within the last lease time."""
        return tuple(sorted(w for w, seen in self._seen.items() if now - seen <= self._options.lease_seconds))

    @property
    def renewing(self) -> tuple[str, ...]:
        """The workers whose process gave way to a fresh one that has said nothing yet."""
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
        """The search as data: the trials that changed after revision `since`, in the order of their start."""
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

    # Durability: the caller stores what `changes` gives and hands it back to `restore`, merged by trial id.

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
        """Takes up a stored search. Workers that held a trial hold it still, with a whole lease from now.

        Args:
          state: the merged patches of `changes`.
          now: the time, seconds.
          go_on: a new attempt at the search: an earlier stop is void, and failures, losses and the search's time are
            counted afresh; that workers of an earlier attempt are gone counts for nothing. Without it (the chief died
            and came back) they stay.
          more: whether the oracle may have more trials in a new attempt, though it had none before.
          results: the attempt of each result that was acknowledged, by trial id, be it judged or not.
          told: the time of what was stored last, by which the workers of then were alive; `now` if left out.

        Returns:
          The trials whose result is still to be judged; each is as after `begin_finish`.
        """
        told = now if told is None else told
        self._ledger.put_back(state, now, go_on=go_on, more=more, results=results or {}, told=told)
        if not go_on:
            # A new attempt does not hear those of an earlier one, and may give their numbers to others.
            self._succession.put_back(state.get("processes", {}))
        for lease in self._leases:
            self._succession.begin(lease.worker, lease.process)
        return frozenset(self._ledger.finishing)

    def requeued(self, trial_ids: frozenset[str]) -> None:
        """Trials that wait in the oracle's own queue for a retry are handed out by the oracle, not from here."""
        for trial_id in trial_ids:
            self._ledger.withdraw(trial_id)

    def _hear(self, worker: str, now: float) -> None:
        self._seen[worker] = now
        self._renewed.discard(worker)

    @property
    def _search(self) -> SearchState:
        return self._ledger.search
