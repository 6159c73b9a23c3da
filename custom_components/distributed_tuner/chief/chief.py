"""The chief: one process that serves one search to its workers.

The event loop owns the study, so that a heartbeat waits for nothing, not even for the oracle; see `trial_flow`. A
transition is on disk before it is acknowledged to anybody.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from keras_tuner.src.engine.objective import Objective

from custom_components.distributed_tuner.chief.clock import Clock
from custom_components.distributed_tuner.chief.durable_state import DurableState, Stored
from custom_components.distributed_tuner.chief.publisher import Published
from custom_components.distributed_tuner.chief.service import ChiefService
from custom_components.distributed_tuner.chief.trial_end import TrialEnd
from custom_components.distributed_tuner.chief.trial_flow import TrialFlow
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.oracle import identity
from custom_components.distributed_tuner.oracle.calls import OracleError
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester
from custom_components.distributed_tuner.record.record import Direction, SearchRecord, TrialStatus
from custom_components.distributed_tuner.space import trial_values
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from custom_components.distributed_tuner.study.ledger import FINAL
from custom_components.distributed_tuner.study.study import Study

_LOG = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
# How often the time is written to the journal, also while no trial begins or ends: after a crash, limits and the
# durations of interrupted trials are computed from it. A bucket is written as rarely as the record is.
_TIME_SECONDS = 5.0


class Chief:
    """Runs a study and an oracle; see the module.

    Attributes:
      service: the methods of its gRPC service.
      options: leases, limits, deadlines.
      broken: set when the chief cannot go on.
    """

    def __init__(
        self,
        *,
        name: str,
        suggester: OracleSuggester,
        options: SearchOptions,
        directory: SearchDir,
        project_dir: str,
        go_on: bool,
        notices: Sequence[str] = (),
    ) -> None:
        """Restores what the directory's journal holds, then opens the journal for writing.

        Args:
          name: the search's name, for its record.
          suggester: the oracle.
          options: leases, limits, deadlines.
          directory: the search directory.
          project_dir: keras-tuner's project folder within it.
          go_on: whether this is a new attempt at the search, see `Study.restore`; False after a restart of the chief.
          notices: remarks for the record.

        Raises:
          CorruptState: the journal is damaged.
          SearchChanged: the journal belongs to a search with another objective, algorithm, space or plan.
          OracleError: the oracle cannot restore its state.
          OSError: the directory is not writable.
        """
        self._name = name
        self._notices = tuple(notices)
        self._suggester = suggester
        self.options = options
        self._directory = directory
        self._store = DurableState(directory, project_dir)
        stored = self._store.open()
        # Before the oracle restores its state, which replaces its space by the stored one.
        found = identity.of(suggester.oracle)
        if stored.identity is not None:
            identity.check(stored.identity, found, directory.url)
        search = stored.search or secrets.token_hex(8)
        self._first_entry: dict[str, Any] = {} if stored.identity else {"identity": found}
        if stored.search is None:
            self._first_entry["search"] = search
        self._clock = Clock(stored.time, go_on=go_on)
        self._study = Study(options, max_consecutive_failures=suggester.max_consecutive_failures, now=self._clock())
        self._unjudged = self._restore(stored, go_on)
        self._flow = TrialFlow(self._study, suggester, self._store, self._clock, self._in_background)
        self._published = Published(
            self._store, self._record, lambda: self._study.revision, self._ask_oracle_state, self._clock
        )
        self.service = ChiefService(
            search=search,
            study=self._study,
            flow=self._flow,
            store=self._store,
            suggester=suggester,
            clock=self._clock,
            record=self._record,
            end_with=self._end_with,
        )
        self._broken: BaseException | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.broken = asyncio.Event()

    async def begin(self) -> None:
        """Stores the search's identity, and that this attempt has begun: a restarted chief continues this attempt.

        Raises:
          OSError: the write failed.
        """
        await self._store.append(self._first_entry)
        await self._flow.commit()

    def start(self) -> None:
        """Begins to enforce leases and limits, and judges the results that an earlier chief left unjudged."""
        for trial_id, end in self._unjudged.items():
            self._in_background(self._flow.judge(trial_id, end))
        self._in_background(self._watch())
        self._in_background(self._published.keep())

    def give_up(self, error: OracleError) -> None:
        """The oracle is broken: the search ends with the results so far."""
        if self._flow.turn.lost:
            return
        self._flow.turn.lost = True
        _LOG.error("the oracle is lost", exc_info=error)
        self._in_background(self._end_with(str(error).splitlines()[0], "chief", str(error)))

    def break_down(self, error: BaseException) -> None:
        """The chief cannot go on, usually because the disk fails: it must not acknowledge any further transition."""
        if self._broken is None:
            _LOG.critical("the chief cannot go on", exc_info=error)
            self._broken = error
            self.broken.set()

    async def close(self) -> None:
        """Stores everything and ends."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        lost = self._flow.turn.lost
        await self._flow.close(wait=not lost, durable=self._broken is None and not lost)
        if self._broken is None:
            oracle_state = None if lost else self._suggester.oracle_state()
            self._published.write(oracle_state)
        self._store.close()

    @property
    def objective(self) -> Objective:
        """The search's objective."""
        return self._suggester.oracle.objective

    @property
    def failure(self) -> BaseException | None:
        """What prevents the chief from storing the search; None if nothing does."""
        return self._broken

    async def _end_with(self, reason: str, process: str, trace: str) -> None:
        """Stores the traceback first, so that it is there once the search is seen to be stopped."""
        await asyncio.to_thread(self._directory.write_error, process, reason, trace)
        self._study.stop(reason, self._clock())
        await self._flow.commit()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def watched() -> None:
            try:
                await work
            except OracleError as error:
                self.give_up(error)
            except Exception as error:
                # Nobody awaits this work, so its failure would go unnoticed: a search without it might never end.
                self.break_down(error)

        task = asyncio.ensure_future(watched())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watch(self) -> None:
        """Expires leases and enforces limits."""
        last = noted = self._clock()
        stopped_since: float | None = None
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self._clock()
            if now - last > 2 * self.options.heartbeat_seconds:
                self._study.extend_leases(now - last)
                self._flow.turn.extend_silence(now - last)
            last = now
            version = self._study.version
            for trial_id, reason in self._study.tick(now):
                self._in_background(self._flow.judge(trial_id, TrialEnd.failure(reason)))
            if not self._flow.turn.lost and self._flow.turn.silence(now) > self.options.max_oracle_seconds:
                self.give_up(self._silent())
            if self._study.stop_reason is not None and not self._study.over:
                stopped_since = stopped_since or now
                waited = now - stopped_since
                if waited > 2 * self.options.grace_seconds and not self._flow.turn.lost:
                    # Their results are stored, and judged when the search is resumed.
                    _LOG.warning("the oracle takes too long over the last results, which are left out")
                    self._flow.turn.lost = True
                if waited > self.options.grace_seconds:
                    self._study.abandon_running(now, unjudged=self._flow.turn.lost)
            if version != self._study.version:
                self._in_background(self._flow.commit())
            if now - noted > max(_TIME_SECONDS, self._store.record_seconds) and not self._study.over:
                noted = now
                self._in_background(self._note_time(now))

    async def _note_time(self, now: float) -> None:
        await self._store.append({"time": now})

    def _silent(self) -> OracleError:
        limit = self.options.max_oracle_seconds
        return OracleError(
            f"{type(self._suggester.oracle).__name__} did not answer within max_oracle_seconds={limit:g}: it hangs, or "
            "takes that long for a search of this size"
        )

    def _ask_oracle_state(self, tell: Callable[[str], None]) -> asyncio.Task[None] | None:
        async def ask() -> None:
            tell(await self._flow.turn.state())

        return None if self._flow.turn.lost else self._in_background(ask())

    @property
    def _direction(self) -> Direction:
        return Direction(self._suggester.oracle.objective.direction)

    def _record(self, since: int) -> SearchRecord:
        oracle = self._suggester.oracle
        return self._study.record(
            name=self._name,
            objective=oracle.objective.name,
            direction=self._direction,
            max_trials=oracle.max_trials,
            notices=(*self._notices, *self._repeats()),
            since=since,
        )

    def _repeats(self) -> tuple[str, ...]:
        if not self._study.repeated:
            return ()
        return (
            f"{type(self._suggester.oracle).__name__} suggested configurations that had been tried; they were not "
            "trained again, others took their place. The option repeat_configurations=True has them trained again",
        )

    def _restore(self, stored: Stored, go_on: bool) -> dict[str, TrialEnd]:
        """Restores what is stored. Returns the results that the oracle has not judged, by trial id."""
        if stored.time is None:
            return {}
        self._fail_unusable(stored)
        self._suggester.restore(stored.oracle, self._store.trials)
        attempts = {trial_id: result["attempt"] for trial_id, result in stored.results.items()}
        limit = self._suggester.oracle.max_trials
        more = limit is None or limit > len(self._store.trials)
        unjudged = self._study.restore(
            stored.study, self._clock(), go_on=go_on, more=more, results=attempts, told=stored.time
        )
        self._study.requeued(self._suggester.queued())
        _LOG.info("restored %d trials", len(self._store.trials))
        return {trial_id: _judgeable(trial_id, stored.results[trial_id]) for trial_id in sorted(unjudged)}

    def _fail_unusable(self, stored: Stored) -> None:
        """Fails trials with unusable hyperparameter values, which earlier versions let in, and discards the values.

        The oracle, which may need values, gets the defaults instead. The repair is stored with the first entry.
        """
        mended: dict[str, dict[str, Any]] = {}
        failures: dict[str, dict[str, Any]] = {}
        for trial_id, state in stored.study["trials"].items():
            kept = self._store.trials[trial_id]
            config = kept["hyperparameters"]
            fault = trial_values.fault(state["hyperparameters"]) or trial_values.fault(config["values"])
            fault = fault or self._suggester.objection(config)
            if fault is None:
                continue
            _LOG.error("trial %s: %s", trial_id, fault)
            told: dict[str, Any] = {}
            if TrialStatus(state["status"]) not in FINAL:
                failures[trial_id] = {**TrialEnd.failure(fault).to_json(), "attempt": state["attempt"]}
            elif kept["status"] != TrialStatus.FAILED.value:
                told = {"status": TrialStatus.FAILED.value, "score": None, "message": fault}
            stored.study["trials"][trial_id] = {**state, **told, "hyperparameters": {}}
            mended[trial_id] = {**kept, **told, "hyperparameters": trial_values.with_defaults(config)}
        if mended:
            stored.results.update(failures)
            self._store.trials.update(mended)
            self._first_entry |= {"results": failures, "oracle": {"state": {}, "trials": mended}}


def _judgeable(trial_id: str, stored: Mapping[str, Any]) -> TrialEnd:
    """The stored end of a trial, or a failure in its place if it cannot be judged."""
    try:
        return TrialEnd.from_json(stored)
    except ValueError as error:
        _LOG.error("trial %s: its stored result cannot be judged: %s", trial_id, error)
        return TrialEnd.failure(f"its stored result cannot be judged: {error}")
