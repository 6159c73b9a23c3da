"""How a trial goes through study, oracle and journal, in this order; `oracle_turn` says what may happen meanwhile."""

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
    """Used in one event loop. Nothing is durable, and nobody may be told of it, before `commit` has returned.

    Attributes:
      changes: wakes up those who wait for a trial.
      turn: the oracle's; nobody else calls it.

    Args:
      study: who holds what.
      suggester: the oracle.
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
        """As `ask`, for a caller that cannot wait: WAIT where a slow oracle would have to be asked.

        Raises:
          OracleError: the oracle raised.
        """
        answer = self.turn.ask_at_once(worker, process)
        return Ask.WAIT if answer is Ask.SUGGEST else answer

    async def take(self, trial_id: str, end: TrialEnd) -> None:
        """A result that `Study.begin_finish` let through; the caller commits.

        Raises:
          OracleError: the oracle raised.
          OSError: the disk refuses.
        """
        await self.turn.take(trial_id, end)

    async def judge(self, trial_id: str, end: TrialEnd) -> None:
        """Brings to the oracle how a trial ended that the study has taken out of its worker's hands, and commits.

        Raises:
          OracleError: the oracle raised.
          OSError: the disk refuses.
        """
        await self.turn.judge(trial_id, end)
        await self.commit()

    async def update_space(self, config: Mapping[str, Any]) -> None:
        """A worker met new hyperparameters; the caller commits.

        Raises:
          EntriesRefused: the oracle cannot take them up; it is as before.
          OracleError: the oracle raised.
        """
        if (refused := await self.turn.update_space(config)) is not None:
            raise EntriesRefused(refused)

    def append(self, oracle_patch: Patch | None = None) -> Awaitable[None]:
        """Queues what changed for the disk; `oracle_patch` comes from the oracle's thread, if it has one."""
        patch = self.turn.patch() if oracle_patch is None else oracle_patch
        entry = self._study.changes()
        return self._store.append({"time": self._clock(), **entry} if entry else {}, patch)

    def keep(self, trial_id: str, end: TrialEnd) -> Awaitable[None]:
        """Queues for the disk a trial's end that is judged later."""
        result = {**end.to_json(), "attempt": self._study.attempt(trial_id)}
        return self._store.append({"time": self._clock(), "results": {trial_id: result}})

    async def commit(self) -> None:
        """Waits until all that happened so far is on the disk, and tells those who wait for a trial.

        Raises:
          OSError: the disk refuses.
        """
        await self.append()
        self.changes.announce(self._study.version)

    async def close(self, *, wait: bool, durable: bool) -> None:
        """Ends the oracle's turns.

        Args:
          wait: whether the oracle will answer what it was asked.
          durable: whether the disk takes its last changes.

        Raises:
          OracleError: the oracle raised.
        """
        await self.turn.close(wait=wait)
        if durable:
            self.append(self._suggester.changes())
