"""Searches in which anything may happen at any moment, against the promises that `Study` makes.

Workers ask, report, report late and twice, are preempted, die, and come back under their id as another process, while
the one before it still has its say; leases expire; oracles are idle, exhausted, and want failed trials again; the
search is stopped; the chief dies between any two steps and comes back with what it had stored. Through all of it the
table of transitions is the only movement, no two workers hold a trial, nothing finished is run again, no attempt is
judged twice, and the search ends.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import Direction, Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.study.answers import (
    Ask,
    Directive,
    Grant,
    NoSuggestion,
    Result,
    Suggested,
    Verdict,
)
from custom_components.distributed_tuner.study.ledger import FINAL
from custom_components.distributed_tuner.study.study import Study

WORKERS = ("a", "b", "c")
LEASE_SECONDS = 10.0

RUNNING, WAITING = TrialStatus.RUNNING, TrialStatus.WAITING
COMPLETED, FAILED, STOPPED = TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.STOPPED

# The table in `study`'s docstring, by event; None is a new trial.
Rows = frozenset[tuple[TrialStatus | None, TrialStatus]]
SUGGESTED: Rows = frozenset({(None, RUNNING), (None, WAITING)})
GRANTED: Rows = frozenset({(WAITING, RUNNING)})
LOST: Rows = frozenset({(RUNNING, WAITING)})
FINISHED: Rows = frozenset((start, end) for start in (RUNNING, WAITING) for end in (COMPLETED, FAILED, WAITING))
HALTED: Rows = frozenset({(WAITING, STOPPED)})
RESUMED: Rows = frozenset({(STOPPED, WAITING)})


class FakeOracle:
    """An oracle that counts: so many trials, so many retries of each; it knows of one more with each that completes."""

    def __init__(self, max_trials: int, known_trials: int, max_retries: int) -> None:
        self.max_trials = max_trials
        self.known_trials = min(known_trials, max_trials)
        self.max_retries = max_retries
        self.runs: dict[str, int] = {}
        self.queue: list[str] = []
        self.verdicts: dict[str, Verdict] = {}

    def suggest(self) -> Suggested | NoSuggestion:
        """A trial that waits for its retry, else a new one."""
        if self.queue:
            return Suggested(self.queue.pop(), {"x": 1})
        if len(self.runs) == self.max_trials:
            return NoSuggestion.EXHAUSTED
        if len(self.runs) == self.known_trials:
            return NoSuggestion.NOTHING_NEW
        trial_id = str(len(self.runs))
        self.runs[trial_id] = 0
        return Suggested(trial_id, {"x": int(trial_id)})

    def judge(self, trial_id: str, *, succeeded: bool, retry: bool) -> Result:
        """The verdict on a run."""
        assert self.verdicts.get(trial_id) in (None, Verdict.RETRY), f"trial {trial_id} was judged after its end"
        self.runs[trial_id] += 1
        self.queue = [queued for queued in self.queue if queued != trial_id]
        if succeeded:
            result = Result(Verdict.COMPLETED, score=1.0)
            self.known_trials = min(self.known_trials + 1, self.max_trials)
        elif retry and self.runs[trial_id] <= self.max_retries:
            self.queue.append(trial_id)
            result = Result(Verdict.RETRY, message="boom")
        else:
            result = Result(Verdict.FAILED if retry else Verdict.DROPPED, message="boom")
        self.verdicts[trial_id] = result.verdict
        return result


@dataclasses.dataclass(frozen=True)
class Run:
    """What one process of a worker believes that it runs."""

    worker: str
    process: str
    trial_id: str
    attempt: int


@dataclasses.dataclass(frozen=True)
class End:
    """A trial on its way to the oracle."""

    trial_id: str
    attempt: int
    succeeded: bool
    retry: bool


class Searches(RuleBasedStateMachine):
    """A chief, its oracle and its workers."""

    @initialize(
        max_trials=st.integers(1, 5),
        known_trials=st.integers(1, 5),
        max_retries=st.integers(0, 2),
        max_fruitless_losses=st.integers(1, 3),
        max_fruitless_releases=st.integers(1, 3),
        max_consecutive_failures=st.none() | st.integers(1, 2),
        max_lost_workers=st.none() | st.integers(3, 6),
    )
    def begin(self, max_trials: int, known_trials: int, max_retries: int, **limits: int | None) -> None:
        """Begins a search."""
        given = {name: limit for name, limit in limits.items() if limit is not None}
        self.options = SearchOptions(lease_seconds=LEASE_SECONDS, **given)  # type: ignore[arg-type]
        self.now = 0.0
        self.study = Study(self.options, max_consecutive_failures=None, now=self.now)
        self.oracle = FakeOracle(max_trials, known_trials, max_retries)
        self.processes = dict.fromkeys(WORKERS, 0)
        self.believed: dict[str, Run] = {}  # by worker, its newest process
        self.history: list[Run] = []
        self.asked: dict[str, list[str]] = {worker: [] for worker in WORKERS}  # the processes that have, in order
        self.asking: list[tuple[str, str]] = []  # (worker, process) whose question waits for its turn with the oracle
        self.ending: list[End] = []  # whose result waits for its turn with the oracle
        self.judged: set[tuple[str, int]] = set()
        self.statuses: dict[str, TrialStatus] = {}
        self.acknowledged: dict[str, End] = {}  # the last result of each trial that was stored before it was judged
        self.mirror = self.record()
        self.known = -1
        self.stored: dict[str, Any] = {"trials": {}, "processes": {}}
        self.stored_oracle = copy.deepcopy(self.oracle)
        self.happened()

    # What the chief does around each call: stores the transition, in the order of the transitions.

    def happened(self, *events: Rows, with_oracle: bool = False) -> None:
        """Checks a step against the rows of the table that it may follow, and stores it."""
        self.mirror = self.mirror.updated(self.record(self.known))
        self.known = self.study.revision
        assert self.mirror == self.record()
        rows = frozenset().union(*events)
        after = {trial.trial_id: trial.status for trial in self.record().trials}
        for trial_id, status in after.items():
            reached = {self.statuses.get(trial_id)}
            for _ in range(2):  # a trial may be lost and stopped in one step
                reached |= {end for start, end in rows if start in reached}
            assert status in reached, f"trial {trial_id}: {self.statuses.get(trial_id)} -> {status}"
        assert set(self.statuses) <= set(after), "a trial is lost"
        self.statuses = after
        patch = json.loads(json.dumps(self.study.changes()))
        for key in ("trials", "processes"):
            self.stored[key].update(patch.get(key, {}))
        self.stored.update({"study": patch["study"]} if "study" in patch else {})
        if with_oracle:
            self.stored_oracle = copy.deepcopy(self.oracle)

    def record(self, since: int = -1) -> SearchRecord:
        """The search as data."""
        return self.study.record(name="s", objective="loss", direction=Direction.MIN, max_trials=5, since=since)

    def process(self, worker: str) -> str:
        """The newest process of a worker."""
        return f"{worker}{self.processes[worker]}"

    def replaced(self) -> list[tuple[str, str]]:
        """The processes whose worker has another one since."""
        return [(worker, process) for worker in WORKERS for process in self.asked[worker][:-1]]

    def take(self, worker: str, process: str, answer: Grant | Ask) -> None:
        """A worker hears the answer to its question, unless its process is dead by now."""
        assert (answer is Ask.REPLACED) == (process != self.asked[worker][-1])
        if isinstance(answer, Grant):
            assert self.statuses.get(answer.trial_id) not in FINAL, "a finished trial is run again"
            assert (answer.trial_id, answer.attempt) not in self.judged, "a judged attempt is run again"
            run = Run(worker, process, answer.trial_id, answer.attempt)
            self.history.append(run)
            if process == self.process(worker):
                self.believed[worker] = run

    # Workers.

    @rule(worker=st.sampled_from(WORKERS), idle=st.booleans(), oracle_has_time=st.booleans())
    def ask(self, worker: str, idle: bool, oracle_has_time: bool) -> None:
        """A worker asks, perhaps because the answer to its last question was lost."""
        process = self.process(worker)
        if process not in self.asked[worker]:
            self.asked[worker].append(process)
        answer = self.study.ask(worker, self.now, process)
        self.take(worker, process, answer)
        self.happened(GRANTED, LOST, HALTED)
        if answer is Ask.SUGGEST:
            self.asking.append((worker, process))
            if oracle_has_time:
                self.suggest(idle)

    @precondition(lambda self: self.asking)
    @rule(idle=st.booleans())
    def oracle_suggests(self, idle: bool) -> None:
        """The oracle has time for a question; the worker may be another process by now, which may have asked too."""
        self.suggest(idle)

    def suggest(self, idle: bool) -> None:
        """Answers the first question that waits for the oracle."""
        worker, process = self.asking.pop(0)
        answer = self.study.ask(worker, self.now, process)
        if answer is Ask.SUGGEST:
            busy = any(trial.status is RUNNING for trial in self.record().trials)
            suggestion = NoSuggestion.IDLE if idle and busy else self.oracle.suggest()
            answer = self.study.suggested(worker, suggestion, self.now, process)
        self.take(worker, process, answer)
        self.happened(SUGGESTED, GRANTED, LOST, HALTED, with_oracle=True)

    @precondition(lambda self: self.believed)
    @rule(data=st.data(), epochs=st.none() | st.integers(1, 3))
    def beat(self, data: st.DataObject, epochs: int | None) -> None:
        """A worker with a trial gives a sign of life; one that lost it hears so."""
        run = self.believed[data.draw(st.sampled_from(sorted(self.believed)))]
        directive, reason = self.study.heartbeat(run.worker, run.trial_id, epochs, self.now, run.process)
        if directive is Directive.ABANDON:
            del self.believed[run.worker]
        assert bool(reason) == (directive is not Directive.CONTINUE)
        # A heartbeat is not stored: what it changed is, with the next transition.
        assert {trial.trial_id: trial.status for trial in self.record().trials} == self.statuses

    @precondition(lambda self: self.believed)
    @rule(
        data=st.data(),
        succeeded=st.booleans(),
        retry=st.booleans(),
        acknowledge=st.booleans(),
        oracle_has_time=st.booleans(),
    )
    def report(
        self, data: st.DataObject, succeeded: bool, retry: bool, acknowledge: bool, oracle_has_time: bool
    ) -> None:
        """A worker's trial ends; the result may be acknowledged before the oracle has time for it."""
        worker = data.draw(st.sampled_from(sorted(self.believed)))
        self.send(self.believed.pop(worker), succeeded, retry, acknowledge)
        if self.ending and oracle_has_time:
            self.judge(self.ending.pop())

    @precondition(lambda self: self.history)
    @rule(data=st.data(), succeeded=st.booleans(), retry=st.booleans())
    def report_late_or_twice(self, data: st.DataObject, succeeded: bool, retry: bool) -> None:
        """A result of a run of old: its worker was thought dead, or did not hear that it arrived."""
        self.send(data.draw(st.sampled_from(self.history)), succeeded, retry)

    def send(self, run: Run, succeeded: bool, retry: bool, acknowledge: bool = False) -> None:
        """A result arrives at the chief."""
        holder = self.study.holder(run.trial_id)
        if self.study.begin_finish(
            run.worker, run.trial_id, 3, run.attempt, now=self.now, succeeded=succeeded, process=run.process
        ):
            held = holder is not None and (holder.worker, holder.process) == (run.worker, run.process)
            assert succeeded or held, "a process failed a trial that it does not hold"
            assert (run.trial_id, run.attempt) not in self.judged
            assert run.attempt == self.study.attempt(run.trial_id)
            self.ending.append(End(run.trial_id, run.attempt, succeeded, retry))
            if acknowledge:
                self.acknowledged[run.trial_id] = self.ending[-1]
        self.happened()

    @precondition(lambda self: self.ending)
    @rule(data=st.data())
    def oracle_judges(self, data: st.DataObject) -> None:
        """The oracle has time for a result."""
        self.judge(self.ending.pop(data.draw(st.integers(0, len(self.ending) - 1))))

    def judge(self, end: End) -> None:
        """Brings a result to the oracle and its verdict to the study."""
        attempt = self.oracle.runs[end.trial_id]
        result = self.oracle.judge(end.trial_id, succeeded=end.succeeded, retry=end.retry)
        self.study.finished(end.trial_id, result, self.now)
        self.judged.add((end.trial_id, attempt))
        self.happened(FINISHED, HALTED, with_oracle=True)

    @precondition(lambda self: self.believed)
    @rule(data=st.data())
    def preempt(self, data: st.DataObject) -> None:
        """A worker is told to stop, gives its trial back and comes up again as another process."""
        run = self.believed.pop(data.draw(st.sampled_from(sorted(self.believed))))
        self.study.release(run.worker, run.trial_id, self.now, run.process)
        self.processes[run.worker] += 1
        self.happened(LOST, HALTED)

    @rule(worker=st.sampled_from(WORKERS), noticed=st.booleans(), fault=st.booleans())
    def die(self, worker: str, noticed: bool, fault: bool) -> None:
        """A worker's process ends without a word, and another one begins under its id."""
        old = self.process(worker)
        self.believed.pop(worker, None)
        self.processes[worker] += 1
        if noticed:
            self.study.gone(worker, "exit code 137", self.now, old, fault)
        self.happened(LOST, HALTED)

    @precondition(lambda self: self.replaced())
    @rule(data=st.data())
    def an_earlier_process_has_its_say(self, data: st.DataObject) -> None:
        """A process wakes up that was thought dead, and whose worker has another one: nothing comes of what it says."""
        worker, process = data.draw(st.sampled_from(self.replaced()))
        before, seen = self.record(), self.study.workers(self.now)
        assert self.study.heartbeat(worker, None, None, self.now, process) == (Directive.CONTINUE, "")
        judged = {end.trial_id for end in self.ending}  # they are their processes' until the verdict
        for trial_id in self.statuses:
            directive, _ = self.study.heartbeat(worker, trial_id, 9, self.now, process)
            assert directive is Directive.ABANDON or trial_id in judged
            self.study.release(worker, trial_id, self.now, process)
        self.take(worker, process, self.study.ask(worker, self.now, process))
        assert self.study.replaced(worker, process)
        assert (self.record(), self.study.workers(self.now), self.study.changes()) == (before, seen, {})

    @precondition(lambda self: self.history)
    @rule(data=st.data())
    def give_back_late(self, data: st.DataObject) -> None:
        """A process gives back what it was granted once; that ends a lease of its own only."""
        run = data.draw(st.sampled_from(self.history))
        holder = self.study.holder(run.trial_id)
        own = holder is not None and (holder.worker, holder.process) == (run.worker, run.process)
        self.study.release(run.worker, run.trial_id, self.now, run.process)
        assert own or self.study.holder(run.trial_id) == holder
        self.happened(LOST, HALTED)

    @precondition(lambda self: self.replaced())
    @rule(data=st.data())
    def the_end_of_an_earlier_process_is_news_at_last(self, data: st.DataObject) -> None:
        """The cluster tells late of a process whose worker has another one by now, which keeps what it holds.

        The earlier one holds a trial only where its result died with the chief, after the next one had begun.
        """
        worker, process = data.draw(st.sampled_from(self.replaced()))
        before = {trial_id: self.study.holder(trial_id) for trial_id in self.statuses}
        own = [
            trial_id for trial_id, held in before.items() if held and (held.worker, held.process) == (worker, process)
        ]
        lost = self.study.gone(worker, "exit code 137", self.now, process, fault=False)
        assert [lost] == own if lost else not set(own) - {end.trial_id for end in self.ending}
        for trial_id, held in before.items():
            assert trial_id in own or self.study.holder(trial_id) == held
        self.happened(LOST, HALTED)

    # Time and people.

    @rule(seconds=st.sampled_from([1.0, 4.0, LEASE_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        """The chief looks after leases and limits."""
        self.now += seconds
        for trial_id, _ in self.study.tick(self.now):
            self.ending.append(End(trial_id, self.study.attempt(trial_id), succeeded=False, retry=False))
        self.happened(LOST, HALTED)

    @precondition(lambda self: len(self.history) > 2)
    @rule()
    def stop(self) -> None:
        """Somebody ends the search."""
        self.study.stop("enough", self.now)
        self.happened(HALTED)

    @precondition(lambda self: self.study.stop_reason is not None)
    @rule()
    def grace_ends(self) -> None:
        """Those who do not end after a stop are cut off."""
        self.study.abandon_running(self.now)
        self.happened(LOST, HALTED)

    @rule(go_on=st.booleans())
    def chief_restarts(self, go_on: bool) -> None:
        """The chief dies with all that it had not stored, and comes back; perhaps as a new attempt at the search."""
        before = self.record()
        self.study = Study(self.options, max_consecutive_failures=None, now=self.now)
        self.oracle = copy.deepcopy(self.stored_oracle)
        attempts = {trial_id: end.attempt for trial_id, end in self.acknowledged.items()}
        stored = json.loads(json.dumps(self.stored))
        unjudged = self.study.restore(stored, self.now, go_on=go_on, results=attempts)
        self.study.requeued(frozenset(self.oracle.queue))
        if go_on:
            # Of an earlier attempt only those are known that hold a trial.
            holders = [self.study.holder(trial_id) for trial_id in self.statuses]
            self.asked = {worker: [h.process for h in holders if h and h.worker == worker] for worker in WORKERS}
        promised = {end.trial_id for end in self.ending if end in self.acknowledged.values()}
        assert unjudged == promised, "an acknowledged result is lost, or judged twice"
        self.asking, self.ending = [], [self.acknowledged[trial_id] for trial_id in sorted(unjudged)]
        self.known = -1
        if not go_on:
            assert self.study.stop_reason == before.stop_reason
            for old, new in zip(before.trials, self.record().trials, strict=True):
                # Where only a result that died with the chief kept a stopped search going, it is over now.
                assert new.status is old.status or (self.study.over and (old.status, new.status) in HALTED)
        self.happened(RESUMED, HALTED)

    # What holds at every moment.

    @invariant()
    def a_trial_has_one_holder_at_most_and_a_worker_one_trial(self) -> None:
        """Asked of a copy, since a heartbeat prolongs a lease."""
        study = copy.deepcopy(self.study)
        held = [
            (worker, trial_id)
            for trial_id in self.statuses
            for worker in WORKERS
            for process in range(self.processes[worker] + 1)
            if study.heartbeat(worker, trial_id, None, self.now, f"{worker}{process}")[0] is not Directive.ABANDON
        ]
        assert len({trial_id for _, trial_id in held}) == len({worker for worker, _ in held}) == len(held)
        running = {trial_id for trial_id, status in self.statuses.items() if status is RUNNING}
        assert {trial_id for _, trial_id in held} == running

    @invariant()
    def the_record_is_of_one_piece(self) -> None:
        """A trial runs while its last stay is open, and only the last one can be."""
        for trial in self.record().trials:
            open_stays = [stay for stay in trial.stays if stay.ended is None]
            assert open_stays == (list(trial.stays[-1:]) if trial.status is RUNNING else [])
            assert all((stay.outcome is Outcome.RUNNING) == (stay.ended is None) for stay in trial.stays)
            assert all(stay.started <= (self.now if stay.ended is None else stay.ended) for stay in trial.stays)
        assert (self.record().ended is not None) == self.study.over

    def teardown(self) -> None:
        """Driven by workers that do nothing but their work, the search ends, and every trial has an end."""
        for _ in range(200):
            if self.study.over:
                break
            for end in self.ending[:]:
                self.ending.remove(end)
                self.judge(end)
            for worker in WORKERS:
                while self.asking:
                    self.suggest(idle=False)
                self.ask(worker, idle=False, oracle_has_time=True)
                run = self.believed.pop(worker, None)
                if run is not None:
                    self.send(run, succeeded=True, retry=True)
            self.time_passes(1.0)
        assert self.study.over, "the search does not end"
        assert all(self.study.ask(worker, self.now) is Ask.OVER for worker in WORKERS)
        verdicts = {Verdict.COMPLETED: COMPLETED, Verdict.FAILED: FAILED, Verdict.DROPPED: FAILED}
        for trial_id, status in self.statuses.items():
            verdict = self.oracle.verdicts.get(trial_id, Verdict.RETRY)
            assert status is verdicts.get(verdict, STOPPED)
        if self.study.stop_reason is None:
            assert len(self.statuses) == self.oracle.known_trials
            assert STOPPED not in self.statuses.values()


TestSearches = Searches.TestCase
TestSearches.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
