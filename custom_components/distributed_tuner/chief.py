"""The chief: one process that serves one search to its workers.

The event loop owns the study, so that a heartbeat waits for nothing. The oracle lives in a thread of its own, because a
suggestion may take seconds. A transition is on the disk before anybody is told of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from custom_components.distributed_tuner import journal, patches, rpc
from custom_components.distributed_tuner.answers import Ask, Grant
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.project_files import ProjectFiles
from custom_components.distributed_tuner.record import Direction, SearchRecord
from custom_components.distributed_tuner.search_dir import SearchDir, record_to_json
from custom_components.distributed_tuner.study import Study
from custom_components.distributed_tuner.suggester import OracleError, OracleSuggester, Report

_LOG = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_RECORD_SECONDS = 1.0
_ORACLE_SECONDS = 5.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Clock:
    """Seconds since the epoch that never jump: the wall clock is read once, a monotonic one after that."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """The time now."""
        return self._offset + time.monotonic()


class Chief:
    """Serves a study and an oracle; see the module."""

    def __init__(
        self,
        *,
        name: str,
        suggester: OracleSuggester,
        options: SearchOptions,
        directory: SearchDir,
        project_dir: str,
        go_on: bool,
    ) -> None:
        """Restores what the directory's journal holds, then opens the journal for what comes.

        Raises:
          CorruptState: the journal is damaged.
          OSError: the directory may not be written.
        """
        self._name = name
        self._suggester = suggester
        self._options = options
        self._directory = directory
        self._project = ProjectFiles(directory.root / project_dir)
        self._clock = Clock()
        self._study = Study(options, max_consecutive_failures=suggester.max_consecutive_failures, now=self._clock())
        self._restore(go_on)
        self._journal = journal.Journal(directory.journal)
        self._oracle_thread = ThreadPoolExecutor(1, thread_name_prefix="oracle")
        self._oracle_turn = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._broken: BaseException | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.broken = asyncio.Event()

    # The methods of the service: a dict in, a dict out.

    async def suggest(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker wants a trial; held open while there is none."""
        worker, process = request["worker"], request.get("process", "")
        ends = self._clock() + min(float(request.get("wait_seconds", rpc.LONG_POLL_SECONDS)), rpc.LONG_POLL_SECONDS)
        while True:
            version = self._study.version
            # A caller that goes away meanwhile must not take a suggestion with it that nobody is told of.
            answer = await asyncio.shield(self._spawn(self._ask(worker, process)))
            if isinstance(answer, Grant):
                trial = await self.trial_state(answer.trial_id)
                return {"answer": "trial", "trial": trial, "attempt": answer.attempt}
            if answer is Ask.OVER:
                return {"answer": "over", "reason": self._study.stop_reason}
            left = ends - self._clock()
            if left <= 0:
                return {"answer": "wait"}
            await self._wait_for_change(version, left)

    async def finish(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker's trial ended."""
        trial_id = request["trial_id"]
        accepted = self._study.begin_finish(request["worker"], trial_id, request.get("epochs"), request.get("attempt"))
        if accepted:
            reports = [Report(int(step), metrics) for step, metrics in request.get("reports", ())]
            await asyncio.shield(
                self._spawn(
                    self._finish(
                        trial_id,
                        succeeded=bool(request["succeeded"]),
                        retry=bool(request.get("retry", True)),
                        reports=reports,
                        message=request.get("message"),
                        hyperparameters=request.get("hyperparameters"),
                    )
                )
            )
        else:
            await self._commit({})
        return {"accepted": accepted}

    async def heartbeat(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker lives."""
        directive, reason = self._study.heartbeat(
            request["worker"], request.get("trial_id"), request.get("epochs"), self._clock(), request.get("process", "")
        )
        return {"directive": directive.value, "reason": reason}

    async def release(self, request: dict[str, Any]) -> dict[str, Any]:
        """A preempted worker gives its trial back."""
        self._study.release(request["worker"], request["trial_id"], self._clock())
        await self._commit({})
        return {}

    async def gone(self, request: dict[str, Any]) -> dict[str, Any]:
        """The cluster saw a worker die."""
        trial_id = self._study.gone(request["worker"], request["reason"], self._clock(), request.get("process", ""))
        await self._commit({})
        return {"trial_id": trial_id}

    async def fail(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker met an error that ends the search."""
        self._directory.write_error(request["worker"], request["message"], request.get("traceback", ""))
        self._study.stop(request["message"], self._clock())
        await self._commit({})
        return {}

    async def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """Somebody wants the search to end with what there is."""
        self._study.stop(request["reason"], self._clock())
        await self._commit({})
        return {}

    async def space(self, request: dict[str, Any]) -> dict[str, Any]:
        """The search space."""
        del request
        return {"hyperparameters": await self._in_oracle(self._suggester.space)}

    async def update_space(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker met new hyperparameters."""
        async with self._oracle_turn:
            await self._in_oracle(self._suggester.update_space, request["hyperparameters"])
            patch = await self._in_oracle(self._suggester.changes)
            done = self._append(patch)
        await done
        return {}

    async def best(self, request: dict[str, Any]) -> dict[str, Any]:
        """The best trials, as keras-tuner stores them."""
        return {"trials": await self._in_oracle(self._suggester.best_states, int(request["count"]))}

    async def status(self, request: dict[str, Any]) -> dict[str, Any]:
        """The search as data; without the record where the caller knows this revision."""
        revision = self._study.revision
        return {
            "revision": revision,
            "over": self._study.over,
            "stop_reason": self._study.stop_reason,
            "workers": self._study.workers(self._clock()),
            "record": None if request.get("known_revision") == revision else record_to_json(self._record()),
        }

    # Running.

    def methods(self) -> dict[str, Handler]:
        """The service: each method's name in `rpc`, and what answers it."""
        return {
            rpc.SUGGEST: self.suggest,
            rpc.FINISH: self.finish,
            rpc.HEARTBEAT: self.heartbeat,
            rpc.RELEASE: self.release,
            rpc.FAIL: self.fail,
            rpc.SPACE: self.space,
            rpc.UPDATE_SPACE: self.update_space,
            rpc.BEST: self.best,
            rpc.STATUS: self.status,
            rpc.GONE: self.gone,
            rpc.STOP: self.stop,
        }

    def start(self) -> None:
        """Begins to watch over leases and limits. Called in the event loop."""
        self._spawn(self._watch())

    def give_up(self, error: OracleError) -> None:
        """The oracle is broken: the search ends with what there is."""
        summary = str(error).splitlines()[0]
        self._directory.write_error("chief", summary, str(error))
        self._study.stop(summary, self._clock())

    def break_down(self, error: BaseException) -> None:
        """The search cannot be stored any more: nobody may be told of a transition from now on."""
        if self._broken is None:
            _LOG.critical("the search cannot be stored", exc_info=error)
            self._broken = error
            self.broken.set()

    async def close(self) -> None:
        """Stores all there is and ends."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._oracle_thread.shutdown(wait=True)
        if self._broken is None:
            self._append(self._suggester.changes())
            self._write_record()
            self._project.write(self._suggester.oracle_state)
        self._journal.close()

    async def _ask(self, worker: str, process: str) -> Grant | Ask:
        answer = self._study.ask(worker, self._clock(), process)
        if answer is Ask.SUGGEST:
            async with self._oracle_turn:
                answer = self._study.ask(worker, self._clock(), process)
                if answer is Ask.SUGGEST:
                    suggestion, patch = await self._in_oracle(self._suggest, worker)
                    answer = self._study.suggested(worker, suggestion, self._clock(), process)
                    done = self._append(patch)
                else:
                    done = self._append({})
            await done
            await self._announce()
        elif isinstance(answer, Grant):
            await self._commit({})
        return answer

    def _suggest(self, worker: str) -> tuple[Any, dict[str, Any]]:
        return self._suggester.suggest(worker), self._suggester.changes()

    async def _finish(self, trial_id: str, **end: Any) -> None:
        try:
            async with self._oracle_turn:
                result, patch = await self._in_oracle(self._bring_to_oracle, trial_id, end)
                self._study.finished(trial_id, result, self._clock())
                done = self._append(patch)
        except OracleError:
            self._study.unfinished(trial_id)
            raise
        await done
        await self._announce()

    def _bring_to_oracle(self, trial_id: str, end: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return self._suggester.finish(trial_id, **end), self._suggester.changes()

    async def _in_oracle(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._oracle_thread, function, *args)

    def _append(self, oracle_patch: dict[str, Any]) -> Awaitable[None]:
        """Queues a transition for the disk. Called in the order of the transitions."""
        entry = self._study.changes()
        if oracle_patch.get("state") or oracle_patch.get("trials"):
            entry["oracle"] = oracle_patch
            self._project.update(oracle_patch["trials"])
        return asyncio.wrap_future(self._journal.append({"time": self._clock(), **entry}))

    async def _commit(self, oracle_patch: dict[str, Any]) -> None:
        await self._append(oracle_patch)
        await self._announce()

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _wait_for_change(self, version: int, seconds: float) -> None:
        async def changed() -> None:
            async with self._changed:
                await self._changed.wait_for(lambda: self._study.version != version)

        try:
            await asyncio.wait_for(changed(), seconds)
        except asyncio.TimeoutError:
            return

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watch(self) -> None:
        """Expires leases, enforces limits, and writes what others read."""
        last = self._clock()
        recorded = oracle_stored = last
        stopped_since: float | None = None
        try:
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                now = self._clock()
                if now - last > 2 * self._options.heartbeat_seconds:
                    self._study.extend_leases(now - last)
                last = now
                version = self._study.version
                for trial_id, reason in self._study.tick(now):
                    self._spawn(self._finish(trial_id, succeeded=False, retry=False, message=reason))
                if self._study.stop_reason is not None and not self._study.over:
                    stopped_since = stopped_since or now
                    if now - stopped_since > self._options.grace_seconds:
                        self._study.abandon_running(now)
                if version != self._study.version:
                    await self._commit({})
                if now - recorded >= _RECORD_SECONDS:
                    recorded = now
                    with_oracle = now - oracle_stored >= _ORACLE_SECONDS
                    oracle_stored = now if with_oracle else oracle_stored
                    self._write_record()
                    await self._in_oracle(self._project.write, self._suggester.oracle_state if with_oracle else None)
        except OSError as error:
            self.break_down(error)

    def holder(self, trial_id: str) -> str | None:
        """The worker that holds this trial, None if nobody does."""
        return self._study.holder(trial_id)

    async def trial_state(self, trial_id: str) -> dict[str, Any]:
        """A trial as keras-tuner stores it."""
        state: dict[str, Any] = await self._in_oracle(self._suggester.trial_state, trial_id)
        return state

    @property
    def failure(self) -> BaseException | None:
        """What keeps the chief from storing the search; None while all is well."""
        return self._broken

    def _record(self) -> SearchRecord:
        oracle = self._suggester.oracle
        return self._study.record(
            name=self._name,
            objective=oracle.objective.name,
            direction=Direction(oracle.objective.direction),
            max_trials=oracle.max_trials,
        )

    def _write_record(self) -> None:
        self._directory.write_record(self._record())

    def _restore(self, go_on: bool) -> None:
        study: dict[str, Any] = {"trials": {}}
        oracle: patches.State = {}
        trials: dict[str, Any] = {}
        for entry in journal.read(self._directory.journal):
            study["trials"].update(entry.get("trials", {}))
            study.update({"study": entry["study"]} if "study" in entry else {})
            if "oracle" in entry:
                patches.apply(oracle, entry["oracle"]["state"])
                trials.update(entry["oracle"]["trials"])
        if trials:
            self._suggester.restore(oracle, trials)
            self._study.restore(study, self._clock(), go_on=go_on)
            self._study.requeued(self._suggester.queued())
            self._project.update(trials)
            _LOG.info("restored %d trials", len(trials))
