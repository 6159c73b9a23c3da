"""Takes a trial through study, oracle and journal, in this order; `oracle_turn` says what may happen meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from custom_components.distributed_tuner.chief.changes import Changes
from custom_components.distributed_tuner.chief.durable_state import DurableState
from custom_components.distributed_tuner.chief.oracle_turn import OracleTurn, Patch, QuickTurn, ThreadedTurn
from custom_components.distributed_tuner.chief.trial_end import TrialEnd
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester
from custom_components.distributed_tuner.study.answers import Ask, EntriesRefused, Grant
from custom_components.distributed_tuner.study.study import Study


class TrialFlow:
    """Used in one event loop. Nothing is durable, or may be acknowledged, before `commit` has returned.

    Attributes:
      changes: wakes callers that wait for a trial.
      turn: makes all calls to the oracle.

    Args:
      study: the leases and trials.
      suggester: the oracle.
      store: the durable state.
      clock: seconds.
      in_background: runs work that nobody awaits, and handles what it raises.
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
        self.in_background = in_background
        self.changes = Changes()
        self.turn: OracleTurn = (QuickTurn if suggester.quick else ThreadedTurn)(study, suggester, self, clock)

    async def ask(self, worker: str, process: str, seconds: float) -> Grant | Ask:
        """See `OracleTurn.ask`; the caller commits.

        Raises:
          OracleError: the oracle raised.
        """
        return await self.turn.ask(worker, process, seconds)

    def ask_at_once(self, worker: str, process: str) -> Grant | Ask:
        """As `ask`, for a caller that cannot wait: WAIT if a slow oracle would have to be asked.

        Raises:
          OracleError: the oracle raised.
        """
        answer = self.turn.ask_at_once(worker, process)
        return Ask.WAIT if answer is Ask.SUGGEST else answer

    async def take(self, trial_id: str, end: TrialEnd) -> None:
        """Takes a result that `Study.begin_finish` accepted; the caller commits.

        Raises:
          OracleError: the oracle raised.
          OSError: the write failed.
        """
        await self.turn.take(trial_id, end)

    async def judge(self, trial_id: str, end: TrialEnd) -> None:
        """Has the oracle judge the end of a trial that the study itself ended or restored, and commits.

        Raises:
          OracleError: the oracle raised.
          OSError: the write failed.
        """
        await self.turn.judge(trial_id, end)
        await self.commit()

    async def update_space(self, config: Mapping[str, Any]) -> None:
        """Adds hyperparameters that a worker discovered; the caller commits.

        Raises:
          EntriesRefused: the oracle cannot add them; it is as before.
          OracleError: the oracle raised.
        """
        if (refused := await self.turn.update_space(config)) is not None:
            raise EntriesRefused(refused)

    def append(self, oracle_patch: Patch | None = None) -> Awaitable[None]:
        """Queues what changed for the journal; `oracle_patch` comes from the oracle's thread, if it has one."""
        patch = self.turn.patch() if oracle_patch is None else oracle_patch
        entry = self._study.changes()
        return self._store.append({"time": self._clock(), **entry} if entry else {}, patch)

    def keep(self, trial_id: str, end: TrialEnd) -> Awaitable[None]:
        """Queues for the journal a trial's end that is judged later."""
        result = {**end.to_json(), "attempt": self._study.attempt(trial_id)}
        return self._store.append({"time": self._clock(), "results": {trial_id: result}})

    async def commit(self) -> None:
        """Waits until everything so far is on disk, then wakes callers that wait for a trial.

        Raises:
          OSError: the write failed.
        """
        await self.append()
        self.changes.announce(self._study.version)

    async def close(self, *, wait: bool, durable: bool) -> None:
        """Ends the oracle's turns.

        Args:
          wait: whether to wait for the oracle's current call.
          durable: whether to store its last changes.

        Raises:
          OracleError: the oracle raised.
        """
        await self.turn.close(wait=wait)
        if durable:
            self.append(self._suggester.changes())
