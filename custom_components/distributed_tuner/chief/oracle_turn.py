"""Turns with the oracle: one call at a time, in two versions, for an oracle that answers at once and for a slow one."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from custom_components.distributed_tuner.chief.trial_end import TrialEnd
from custom_components.distributed_tuner.oracle.calls import OracleError
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester
from custom_components.distributed_tuner.study.answers import Ask, Grant, NoSuggestion, Result, StudyError, Suggested
from custom_components.distributed_tuner.study.study import Study

Answer = TypeVar("Answer")

Patch = Mapping[str, Any]


class Journal(Protocol):
    """Where a turn stores its outcome."""

    def append(self, oracle_patch: Patch | None = None) -> Awaitable[None]:
        """Queues for the journal what changed in the study, with this change of the oracle's."""

    def keep(self, trial_id: str, end: TrialEnd) -> Awaitable[None]:
        """Queues for the journal a trial's end that is judged later."""

    async def commit(self) -> None:
        """Waits until everything so far is on disk, then wakes callers that wait for a trial."""

    def in_background(self, work: Coroutine[Any, Any, None]) -> object:
        """Runs work that nobody awaits, and handles what it raises."""


class OracleTurn(Protocol):
    """Connects study and oracle. The caller commits, unless stated otherwise.

    Each method raises `OracleError` if the oracle raises.

    Attributes:
      lost: whether the oracle has been given up; a late answer of its is discarded.
    """

    lost: bool

    def ask_at_once(self, worker: str, process: str) -> Grant | Ask:
        """As `Study.ask`, with the oracle's help if it answers at once; otherwise SUGGEST may be returned."""

    async def ask(self, worker: str, process: str, seconds: float) -> Grant | Ask:
        """As `Study.ask`, with the oracle's help.

        Args:
          worker: the worker's id.
          process: its process, see `Study.ask`.
          seconds: how long to wait for a slow oracle. After that the answer is WAIT, and the oracle goes on; the worker
            gets its suggestion when it asks again.
        """

    async def take(self, trial_id: str, end: TrialEnd) -> None:
        """Has a trial's end judged: at once, or stored until the oracle is free.

        Raises:
          OSError: the write failed.
        """

    async def judge(self, trial_id: str, end: TrialEnd) -> None:
        """Has a trial's end judged, and returns once it is."""

    async def update_space(self, config: Mapping[str, Any]) -> str | None:
        """Adds new hyperparameters to the oracle's space. Returns why it cannot, None if it did."""

    async def state(self) -> str:
        """`Oracle.get_state()` as JSON."""

    def patch(self) -> Patch | None:
        """The oracle's change that goes with the next journal entry; None if its own thread queues it."""

    def silence(self, now: float) -> float:
        """For how many seconds the oracle's current call has been running; 0.0 if there is none."""

    def extend_silence(self, seconds: float) -> None:
        """Deducts a time in which the chief itself was suspended, and its oracle with it."""

    async def close(self, *, wait: bool) -> None:
        """Ends the turns; with `wait`, after the oracle's current call."""


class _Calls:
    """The calls of study and oracle that both versions share."""

    def __init__(self, study: Study, suggester: OracleSuggester, journal: Journal, clock: Callable[[], float]) -> None:
        self._study = study
        self._suggester = suggester
        self._journal = journal
        self._clock = clock
        self.lost = False

    def _suggested(self, worker: str, process: str, suggestion: Suggested | NoSuggestion) -> Grant | Ask:
        try:
            return self._study.suggested(worker, suggestion, self._clock(), process, self._suggester.aside())
        except StudyError as error:
            raise OracleError(f"{type(self._suggester.oracle).__name__}.create_trial: {error}") from error

    def _bring(self, trial_id: str, end: TrialEnd) -> Result:
        return self._suggester.finish(
            trial_id,
            succeeded=end.succeeded,
            retry=end.retry,
            dropped=end.dropped,
            reports=end.reports,
            message=end.message,
            hyperparameters=end.hyperparameters,
        )

    def _finished(self, trial_id: str, end: TrialEnd, result: Result) -> None:
        self._study.finished(trial_id, result, self._clock(), cut=end.cut)


class QuickTurn(_Calls):
    """For an oracle that answers in about a millisecond: it is called in the event loop."""

    def ask_at_once(self, worker: str, process: str) -> Grant | Ask:
        """See `OracleTurn`."""
        answer = self._study.ask(worker, self._clock(), process)
        if answer is Ask.SUGGEST:
            return self._suggested(worker, process, self._suggester.suggest(worker))
        return answer

    async def ask(self, worker: str, process: str, seconds: float) -> Grant | Ask:
        """See `OracleTurn`."""
        del seconds
        return self.ask_at_once(worker, process)

    async def take(self, trial_id: str, end: TrialEnd) -> None:
        """See `OracleTurn`."""
        await self.judge(trial_id, end)

    async def judge(self, trial_id: str, end: TrialEnd) -> None:
        """See `OracleTurn`."""
        try:
            result = self._bring(trial_id, end)
        except Exception:
            self._study.unfinished(trial_id)
            raise
        self._finished(trial_id, end, result)

    async def update_space(self, config: Mapping[str, Any]) -> str | None:
        """See `OracleTurn`."""
        return self._suggester.update_space(config)

    async def state(self) -> str:
        """See `OracleTurn`."""
        return self._suggester.oracle_state()

    def patch(self) -> Patch | None:
        """See `OracleTurn`."""
        return self._suggester.changes()

    def silence(self, now: float) -> float:
        """See `OracleTurn`."""
        return 0.0

    def extend_silence(self, seconds: float) -> None:
        """See `OracleTurn`."""

    async def close(self, *, wait: bool) -> None:
        """See `OracleTurn`."""


class ThreadedTurn(_Calls):
    """For an oracle that may be slow: it has its own thread, which runs one call at a time.

    A trial's end that arrives meanwhile is stored and acknowledged, and judged when its turn comes. A turn is completed
    even if its caller goes away: the oracle's changes must reach the journal, or a restored search would differ.
    """

    def __init__(self, study: Study, suggester: OracleSuggester, journal: Journal, clock: Callable[[], float]) -> None:
        super().__init__(study, suggester, journal, clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="oracle")
        self._turn = asyncio.Lock()
        self._asked_at: float | None = None
        self._asking: dict[tuple[str, str], asyncio.Future[Grant | Ask]] = {}
        self._working: set[asyncio.Task[Any]] = set()
        self._in_turn: asyncio.Task[Any] | None = None
        self._closing = False

    def ask_at_once(self, worker: str, process: str) -> Grant | Ask:
        """See `OracleTurn`."""
        return self._study.ask(worker, self._clock(), process)

    async def ask(self, worker: str, process: str, seconds: float) -> Grant | Ask:
        """See `OracleTurn`."""
        answer = self.ask_at_once(worker, process)
        if answer is not Ask.SUGGEST:
            return answer
        key = (worker, process)
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = self._take_turn(functools.partial(self._suggest_to, worker, process))
            asking.add_done_callback(lambda done: self._asking.pop(key))
        try:
            return await self._outcome(asking, seconds)
        except asyncio.TimeoutError:
            return Ask.WAIT

    async def take(self, trial_id: str, end: TrialEnd) -> None:
        """See `OracleTurn`."""

        async def judge() -> None:
            await self.judge(trial_id, end)
            await self._journal.commit()

        stored = self._journal.keep(trial_id, end)
        self._journal.in_background(judge())
        await stored

    async def judge(self, trial_id: str, end: TrialEnd) -> None:
        """See `OracleTurn`."""
        await self._outcome(self._take_turn(functools.partial(self._judge, trial_id, end)))

    async def update_space(self, config: Mapping[str, Any]) -> str | None:
        """See `OracleTurn`."""
        update = functools.partial(self._in_thread, self._suggester.update_space, config)
        refused: str | None = await self._outcome(self._take_turn(update))
        return refused

    async def state(self) -> str:
        """See `OracleTurn`."""
        state = self._take_turn(functools.partial(self._in_thread, self._suggester.oracle_state))
        return str(await self._outcome(state))

    def patch(self) -> Patch | None:
        """See `OracleTurn`: the thread queues it itself."""
        return None

    def silence(self, now: float) -> float:
        """See `OracleTurn`."""
        return 0.0 if self._asked_at is None else now - self._asked_at

    def extend_silence(self, seconds: float) -> None:
        """See `OracleTurn`."""
        if self._asked_at is not None:
            self._asked_at += seconds

    async def close(self, *, wait: bool) -> None:
        """See `OracleTurn`."""
        self._closing = True
        for work in self._working:
            if not wait or work is not self._in_turn:
                work.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        self._thread.shutdown(wait=wait, cancel_futures=True)

    def _take_turn(self, work: Callable[[], Coroutine[Any, Any, Answer]]) -> asyncio.Task[Answer]:
        """Schedules work with the oracle, which runs to its end even if nobody awaits it any more."""

        async def take() -> Answer:
            async with self._turn:
                self._in_turn = task
                try:
                    return await work()
                finally:
                    self._in_turn = None

        task = asyncio.ensure_future(take())
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    async def _outcome(self, work: asyncio.Future[Answer], seconds: float | None = None) -> Answer:
        """The result of work in progress.

        Raises:
          asyncio.TimeoutError: no result within this many seconds; the work goes on.
        """
        done: set[asyncio.Future[Answer]] = set()
        try:
            done, _ = await asyncio.wait({work}, timeout=seconds)
        finally:
            if not done:
                work.add_done_callback(self._heed)
        if not done:
            raise asyncio.TimeoutError
        return work.result()

    def _heed(self, work: asyncio.Future[Any]) -> None:
        """Commits work that ended after its caller had stopped waiting, and handles what it raised."""

        async def heed() -> None:
            await work
            await self._journal.commit()

        if not work.cancelled() and not self._closing:
            self._journal.in_background(heed())

    async def _suggest_to(self, worker: str, process: str) -> Grant | Ask:
        answer = self.ask_at_once(worker, process)
        if answer is Ask.SUGGEST:
            then = functools.partial(self._suggested, worker, process)
            return await self._in_thread(self._suggester.suggest, worker, then=then)
        return answer

    async def _judge(self, trial_id: str, end: TrialEnd) -> None:
        then = functools.partial(self._finished, trial_id, end)
        try:
            await self._in_thread(self._bring, trial_id, end, then=then)
        except Exception:
            self._study.unfinished(trial_id)
            raise

    async def _in_thread(
        self, function: Callable[..., Any], *args: Any, then: Callable[[Any], Any] = lambda answer: answer
    ) -> Any:
        """Calls the oracle in its thread, and queues for the journal its changes together with the study's.

        Args:
          function: the call.
          args: its arguments.
          then: applies its answer to the study.

        Returns:
          What `then` returns.
        """

        def call() -> tuple[Any, Patch]:
            return function(*args), self._suggester.changes()

        self._asked_at = self._clock()
        try:
            answer, patch = await asyncio.get_running_loop().run_in_executor(self._thread, call)
        finally:
            self._asked_at = None
        if self.lost:
            raise OracleError("the oracle answered after it had been given up")
        try:
            return then(answer)
        finally:
            self._journal.append(patch)
