"""How a trial goes through study, oracle and journal, in this order, and what may happen at the same time.

A quick oracle is asked in the event loop. Another one has a thread, which one call has at a time: a result that arrives
meanwhile is stored and acknowledged, and judged when its turn comes. A turn is taken to its end, though its caller goes
away: what the oracle has changed by then has to be in the journal, or the search that comes back is another one.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from custom_components.distributed_tuner.chief.changes import Changes
from custom_components.distributed_tuner.chief.durable_state import DurableState
from custom_components.distributed_tuner.oracle.calls import OracleError
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.space import trial_values
from custom_components.distributed_tuner.study.answers import (
    Ask,
    EntriesRefused,
    Grant,
    NoSuggestion,
    Result,
    StudyError,
    Suggested,
)
from custom_components.distributed_tuner.study.study import Study

Answer = TypeVar("Answer")

# What a worker tells of a trial's end: `succeeded`, `retry`, `dropped`, `reports`, `message`, `hyperparameters`, see
# `OracleSuggester.finish`, and `cut`, see `Study.finished`. JSON-able, since it may be stored before it is judged; what
# an earlier version stored has no `cut` and no `dropped`.
End = Mapping[str, Any]


def end(told: messages.Finish) -> End:
    """How a trial ended, as a worker tells it."""
    return {
        "succeeded": told.succeeded,
        "retry": told.retry,
        "dropped": told.dropped,
        "reports": told.reports,
        "message": told.message,
        "hyperparameters": told.hyperparameters,
        "cut": told.cut,
    }


def fault(stored: End) -> str | None:
    """Why nobody can judge a trial's end that a journal holds, as earlier versions let in; None if one can."""
    try:
        messages.reports(stored["reports"], "reports")
        hyperparameters = stored["hyperparameters"]
        flags = [stored[name] for name in ("succeeded", "retry")]
    except (KeyError, ValueError) as error:
        return str(error)
    if not all(isinstance(flag, bool) for flag in flags):
        return "it does not say whether the trial succeeded"
    return None if hyperparameters is None else trial_values.fault_of_config(hyperparameters)


def failure(reason: str) -> End:
    """The end of a trial that the chief itself ends, for good."""
    return {"succeeded": False, "retry": False, "reports": [], "message": reason, "hyperparameters": None}


class TrialFlow:
    """Used in one event loop. Nothing is durable, and nobody may be told of it, before `commit` has returned.

    Attributes:
      changes: wakes up those who wait for a trial.
      oracle_lost: set once nobody wants the oracle's answers any more; one that comes late changes nothing.

    Args:
      study: who holds what.
      suggester: the oracle; nobody else calls it.
      store: what is durable.
      clock: seconds.
      in_background: runs work that nobody waits for, and deals with what it raises.
    """

    def __init__(
        self,
        study: Study,
        suggester: OracleSuggester,
        store: DurableState,
        clock: Callable[[], float],
        in_background: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._study = study
        self._suggester = suggester
        self._store = store
        self._clock = clock
        self._in_background = in_background
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="oracle")
        self._turn = asyncio.Lock()
        self._asked_at: float | None = None
        self.oracle_lost = False
        self._asking: dict[tuple[str, str], asyncio.Future[Grant | Ask]] = {}
        self._working: set[asyncio.Task[Any]] = set()
        self._in_turn: asyncio.Task[Any] | None = None
        self._closing = False
        self.changes = Changes()

    async def ask(self, worker: str, process: str, seconds: float) -> Grant | Ask:
        """As `Study.ask`, with the oracle's help; the caller commits.

        Args:
          worker: the worker's id.
          process: its process, see `Study.ask`.
          seconds: for how long to wait for a slow oracle. After that the answer is WAIT and the oracle goes on; what it
            suggests is the worker's, who hears of it when it asks again.

        Raises:
          OracleError: the oracle raised.
        """
        answer = self._ask(worker, process)
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

    def ask_at_once(self, worker: str, process: str) -> Grant | Ask:
        """As `ask`, for a caller that cannot wait: WAIT where a slow oracle would have to be asked.

        Raises:
          OracleError: the oracle raised.
        """
        answer = self._ask(worker, process)
        return Ask.WAIT if answer is Ask.SUGGEST else answer

    async def take(self, trial_id: str, end: End) -> None:
        """A result that `Study.begin_finish` let through; the caller commits.

        Raises:
          OracleError: the oracle raised.
          OSError: the disk refuses.
        """
        if self._suggester.quick:
            self._judge_now(trial_id, end)
            return
        result = {**end, "attempt": self._study.attempt(trial_id)}
        stored = self._store.append({"time": self._clock(), "results": {trial_id: result}})
        self._in_background(self.judge(trial_id, end))
        await stored

    async def judge(self, trial_id: str, end: End) -> None:
        """Brings to the oracle how a trial ended that the study has taken out of its worker's hands, and commits.

        Raises:
          OracleError: the oracle raised.
          OSError: the disk refuses.
        """
        if self._suggester.quick:
            self._judge_now(trial_id, end)
        else:
            await self._outcome(self._take_turn(functools.partial(self._judge, trial_id, end)))
        await self.commit()

    async def update_space(self, config: Mapping[str, Any]) -> None:
        """A worker met new hyperparameters; the caller commits.

        Raises:
          EntriesRefused: the oracle cannot take them up; it is as before.
          OracleError: the oracle raised.
        """
        if self._suggester.quick:
            refused = self._suggester.update_space(config)
        else:
            update = functools.partial(self._in_thread, self._suggester.update_space, config)
            refused = await self._outcome(self._take_turn(update))
        if refused is not None:
            raise EntriesRefused(refused)

    async def oracle_state(self) -> str:
        """`Oracle.get_state()` as JSON."""
        if self._suggester.quick:
            return self._suggester.oracle_state()
        state = self._take_turn(functools.partial(self._in_thread, self._suggester.oracle_state))
        return str(await self._outcome(state))

    def oracle_silence(self, now: float) -> float:
        """For how many seconds the oracle has not answered what it was asked; 0.0 while it was asked nothing."""
        return 0.0 if self._asked_at is None else now - self._asked_at

    def extend_silence(self, seconds: float) -> None:
        """The chief itself was away so long, and its oracle with it."""
        if self._asked_at is not None:
            self._asked_at += seconds

    def append(self, oracle_patch: dict[str, Any] | None = None) -> Awaitable[None]:
        """Queues what changed for the disk; `oracle_patch` comes from the oracle's thread, if it has one."""
        if self._suggester.quick:
            oracle_patch = self._suggester.changes()
        entry = self._study.changes()
        return self._store.append({"time": self._clock(), **entry} if entry else {}, oracle_patch)

    async def commit(self) -> None:
        """Waits until all that happened so far is on the disk, and tells those who wait for a trial.

        Raises:
          OSError: the disk refuses.
        """
        await self.append()
        self.changes.announce(self._study.version)

    async def close(self, *, wait: bool, durable: bool) -> None:
        """Ends the oracle's thread.

        Args:
          wait: whether the oracle will answer what it was asked.
          durable: whether the disk takes its last changes.

        Raises:
          OracleError: the oracle raised.
        """
        self._closing = True
        for work in self._working:
            if not wait or work is not self._in_turn:
                work.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        self._thread.shutdown(wait=wait, cancel_futures=True)
        if durable:
            self.append(self._suggester.changes())

    def _ask(self, worker: str, process: str) -> Grant | Ask:
        """SUGGEST is left for a slow oracle alone."""
        answer = self._study.ask(worker, self._clock(), process)
        if answer is Ask.SUGGEST and self._suggester.quick:
            return self._suggested(worker, process, self._suggester.suggest(worker))
        return answer

    def _suggested(self, worker: str, process: str, suggestion: Suggested | NoSuggestion) -> Grant | Ask:
        try:
            return self._study.suggested(worker, suggestion, self._clock(), process, self._suggester.aside())
        except StudyError as error:
            raise OracleError(f"{type(self._suggester.oracle).__name__}.create_trial: {error}") from error

    def _take_turn(self, work: Callable[[], Coroutine[Any, Any, Answer]]) -> asyncio.Task[Answer]:
        """Begins work with a slow oracle, which goes on whoever waits for it."""

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
        """What comes of work that is under way.

        Raises:
          asyncio.TimeoutError: nothing within so many seconds; it goes on.
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
        """Work that nobody waits for any more is done: others are told, and what it raises is dealt with."""

        async def heed() -> None:
            await work
            await self.commit()

        if not work.cancelled() and not self._closing:
            self._in_background(heed())

    async def _suggest_to(self, worker: str, process: str) -> Grant | Ask:
        answer = self._study.ask(worker, self._clock(), process)
        if answer is Ask.SUGGEST:
            return await self._in_thread(
                self._suggester.suggest,
                worker,
                then=functools.partial(self._suggested, worker, process),
            )
        return answer

    async def _judge(self, trial_id: str, end: End) -> None:
        try:
            await self._in_thread(self._bring, trial_id, end, then=lambda result: self._finished(trial_id, result, end))
        except Exception:
            self._study.unfinished(trial_id)
            raise

    def _judge_now(self, trial_id: str, end: End) -> None:
        try:
            result = self._bring(trial_id, end)
        except Exception:
            self._study.unfinished(trial_id)
            raise
        self._finished(trial_id, result, end)

    def _finished(self, trial_id: str, result: Result, end: End) -> None:
        self._study.finished(trial_id, result, self._clock(), cut=end.get("cut"))

    def _bring(self, trial_id: str, end: End) -> Result:
        return self._suggester.finish(
            trial_id,
            succeeded=end["succeeded"],
            retry=end["retry"],
            dropped=end.get("dropped", False),
            reports=[Report(step, metrics) for step, metrics in end["reports"]],
            message=end["message"],
            hyperparameters=end["hyperparameters"],
        )

    async def _in_thread(
        self, function: Callable[..., Any], *args: Any, then: Callable[[Any], Any] = lambda answer: answer
    ) -> Any:
        """Queues for the disk what a call changes in the oracle, with what comes of it in the study.

        Args:
          function: the call, which the oracle's thread makes.
          args: its arguments.
          then: brings its answer to the study.

        Returns:
          What `then` returns.
        """

        def call() -> tuple[Any, dict[str, Any]]:
            return function(*args), self._suggester.changes()

        self._asked_at = self._clock()
        try:
            answer, patch = await asyncio.get_running_loop().run_in_executor(self._thread, call)
        finally:
            self._asked_at = None
        if self.oracle_lost:
            raise OracleError("the oracle answered after it had been given up")
        try:
            return then(answer)
        finally:
            self.append(patch)
