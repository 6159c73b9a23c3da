"""The methods of a chief's gRPC service, each a message in and a message out."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.chief.clock import Clock
from custom_components.distributed_tuner.chief.durable_state import DurableState
from custom_components.distributed_tuner.chief.trial_end import TrialEnd
from custom_components.distributed_tuner.chief.trial_flow import TrialFlow
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester
from custom_components.distributed_tuner.record.record import Direction, SearchRecord
from custom_components.distributed_tuner.record.record_json import record_to_json
from custom_components.distributed_tuner.rpc import messages, protocol, schema
from custom_components.distributed_tuner.rpc.messages import Next
from custom_components.distributed_tuner.rpc.schema import InvalidMessage, Message, Request
from custom_components.distributed_tuner.space import trial_values
from custom_components.distributed_tuner.study.answers import Ask, Grant, Holder
from custom_components.distributed_tuner.study.study import Study

_LOG = logging.getLogger(__name__)

# A method of the gRPC service: JSON in, JSON out.
Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
Asked = TypeVar("Asked", bound=Request[Any])

_NEXT = {Ask.WAIT: Next.WAIT, Ask.OVER: Next.OVER, Ask.REPLACED: Next.REPLACED}


class ChiefService:
    """The methods of a chief's service.

    Args:
      search: the search's unique id, see `Stored.search`.
      study: the leases and trials.
      flow: takes trials through study and oracle.
      store: the stored states of the trials.
      suggester: the oracle.
      clock: seconds.
      record: returns the trials that changed since a revision, as a record.
      end_with: ends the search with a (reason, process, traceback).
    """

    def __init__(
        self,
        *,
        search: str,
        study: Study,
        flow: TrialFlow,
        store: DurableState,
        suggester: OracleSuggester,
        clock: Clock,
        record: Callable[[int], SearchRecord],
        end_with: Callable[[str, str, str], Awaitable[None]],
    ) -> None:
        self._search = search
        self._study = study
        self._flow = flow
        self._store = store
        self._suggester = suggester
        self._clock = clock
        self._record = record
        self._end_with = end_with
        # Distinguishes this chief's revisions from those of an earlier one.
        self._incarnation = secrets.token_hex(4)
        self._fault: tuple[str, str] | None = None

    def methods(self) -> dict[str, Handler]:
        """The handler of each method, by the method's name.

        Each handler raises `InvalidMessage`, before anything has changed, for a message that its method does not take.
        """
        return dict(
            [
                _takes(messages.Suggest, self.suggest),
                _takes(messages.Finish, self.finish),
                _takes(messages.Heartbeat, self.heartbeat),
                _takes(messages.Release, self.release),
                _takes(messages.Fail, self.fail),
                _takes(messages.Space, self.space),
                _takes(messages.UpdateSpace, self.update_space),
                _takes(messages.Best, self.best),
                _takes(messages.Status, self.status),
                _takes(messages.Gone, self.gone),
                _takes(messages.Renew, self.renew),
                _takes(messages.Stop, self.stop),
            ]
        )

    async def suggest(self, asked: messages.Suggest) -> messages.Turn:
        """A worker asks for a trial; the call is held open while there is none."""
        ends = self._clock() + min(asked.wait_seconds, protocol.LONG_POLL_SECONDS)
        while True:
            version = self._study.version
            answer = await self._flow.ask(asked.worker, asked.process, max(0.0, ends - self._clock()))
            await self._flow.commit()
            left = ends - self._clock()
            if answer is not Ask.WAIT or left <= 0:
                return self._turn_of(answer)
            await self._flow.changes.wait(version, left)

    async def finish(self, told: messages.Finish) -> messages.Ended:
        """A worker's trial ended; if the worker wants the next one and there is one at once, it comes with the answer.

        Until the answer arrives, the worker believes that it holds the ended trial: nothing here may wait for a slow
        oracle.

        Raises:
          InvalidMessage: the trial's hyperparameters are unusable.
        """
        self._check_hyperparameters(told)
        accepted = self._study.begin_finish(
            told.worker,
            told.trial_id,
            told.epochs,
            told.attempt,
            now=self._clock(),
            succeeded=told.succeeded,
            process=told.process,
        )
        if accepted:
            await self._flow.take(told.trial_id, TrialEnd.told(told))
        answer = self._flow.ask_at_once(told.worker, told.process) if told.next else None
        await self._flow.commit()
        return messages.Ended(accepted, **(vars(self._turn_of(answer)) if answer else {}))

    async def heartbeat(self, told: messages.Heartbeat) -> messages.Orders:
        """A worker reports that it is alive."""
        directive, reason = self._study.heartbeat(told.worker, told.trial_id, told.epochs, self._clock(), told.process)
        return messages.Orders(directive, reason)

    async def release(self, told: messages.Release) -> messages.Done:
        """A preempted worker gives its trial back."""
        self._study.release(told.worker, told.trial_id, self._clock(), told.process)
        await self._flow.commit()
        return messages.Done()

    async def gone(self, told: messages.Gone) -> messages.Lost:
        """The cluster reports that a worker died."""
        trial_id = self._study.gone(told.worker, told.reason, self._clock(), told.process, told.fault)
        await self._flow.commit()
        return messages.Lost(trial_id)

    async def renew(self, told: messages.Renew) -> messages.Done:
        """A worker's process is about to exit, to be replaced by a new one."""
        self._study.renews(told.worker, told.process)
        return messages.Done()

    async def fail(self, told: messages.Fail) -> messages.Done:
        """A worker reports an error outside a trial: it ends the search at once, or is counted (`again`)."""
        if self._study.replaced(told.worker, told.process):
            _LOG.warning("%s: an error of a process that was replaced before: %s", told.worker, told.message)
            return messages.Done()
        if not told.again:
            await self._end_with(told.message, told.worker, told.traceback)
            return messages.Done()
        _LOG.warning("%s: %s\n%s", told.worker, told.message, told.traceback)
        # The first error in a row is the one to report; after a restart the chief knows only this one.
        self._fault = (told.worker, told.traceback) if self._fault is None or not self._study.faults else self._fault
        reason = self._study.fault(told.worker, told.message)
        if reason is None:
            await self._flow.commit()
        else:
            await self._end_with(reason, *self._fault)
        return messages.Done()

    async def stop(self, told: messages.Stop) -> messages.Done:
        """Somebody asks for the search to end with the results so far."""
        self._study.stop(told.reason, self._clock())
        await self._flow.commit()
        return messages.Done()

    async def space(self, asked: messages.Space) -> messages.Entries:
        """The search space."""
        del asked
        return messages.Entries(self._suggester.space())

    async def update_space(self, told: messages.UpdateSpace) -> messages.Done:
        """A worker discovered new hyperparameters; they are ignored if it no longer holds their trial.

        Raises:
          InvalidMessage: they are unusable.
        """
        _check_config(told.hyperparameters)
        if self._is_stale(told):
            _LOG.info("%s: hyperparameters of trial %s, which it holds no longer", told.worker, told.trial_id)
            return messages.Done()
        await self._flow.update_space(told.hyperparameters)
        await self._flow.commit()
        return messages.Done()

    async def best(self, asked: messages.Best) -> messages.BestTrials:
        """The best trials, as keras-tuner stores them: as many as fit in one message, and the ids to ask for next.

        Raises:
          InvalidMessage: the request has neither a count nor ids, or an unknown id.
        """
        ids = asked.ids
        if ids is None:
            if asked.count is None:
                raise InvalidMessage("Best: neither count nor ids are given")
            ids = [trial["trial_id"] for trial in self.best_trials(asked.count)]
        if unknown := [trial_id for trial_id in ids if trial_id not in self._store.trials]:
            raise InvalidMessage(f"Best: ids: there is no trial {unknown[0]}")
        trials: list[dict[str, Any]] = []
        size = 0
        for trial_id in ids:
            trial = self.trial_state(trial_id)
            size += len(encoding.dumps(trial))
            if trials and size > protocol.PORTION_BYTES:
                break
            trials.append(trial)
        return messages.BestTrials(trials, ids[len(trials) :])

    async def status(self, asked: messages.Status) -> messages.Search:
        """The search as data: the trials that changed since the caller's revision, or all if it has none."""
        incarnation, known = asked.revision or ("", -1)
        since = known if incarnation == self._incarnation else -1
        revision = self._study.revision
        return messages.Search(
            revision=(self._incarnation, revision),
            whole=since == -1,
            over=self._study.over,
            stop_reason=self._study.stop_reason,
            workers=self._study.workers(self._clock()),
            renewing=self._study.renewing,
            record=None if since == revision else record_to_json(self._record(since)),
        )

    def holder(self, trial_id: str) -> Holder | None:
        """Who holds this trial, None if nobody does."""
        return self._study.holder(trial_id)

    def trial_state(self, trial_id: str) -> dict[str, Any]:
        """A trial as keras-tuner stores it."""
        return self._store.trials[trial_id]

    def best_trials(self, count: int) -> list[dict[str, Any]]:
        """The best completed trials as keras-tuner stores them, best first."""
        return self._store.best(count, Direction(self._suggester.oracle.objective.direction))

    def _check_hyperparameters(self, told: messages.Finish) -> None:
        known = self._store.trials.get(told.trial_id)
        # Most trials come back unchanged; checking their entries would take longer than everything else.
        if told.hyperparameters is not None and (known is None or told.hyperparameters != known["hyperparameters"]):
            _check_config(told.hyperparameters)

    def _turn_of(self, answer: Grant | Ask) -> messages.Turn:
        if isinstance(answer, Grant):
            trial = self.trial_state(answer.trial_id)
            return messages.Turn(Next.TRIAL, trial, answer.attempt, self._search)
        return messages.Turn(_NEXT[answer], reason=self._study.stop_reason if answer is Ask.OVER else None)

    def _is_stale(self, told: messages.UpdateSpace) -> bool:
        if told.worker is None:
            return False
        if told.trial_id is None:
            return self._study.replaced(told.worker, told.process)
        return not self._study.holds(told.worker, told.trial_id, told.process)


def _takes(kind: type[Asked], method: Callable[[Asked], Awaitable[Message]]) -> tuple[str, Handler]:
    async def handle(request: Mapping[str, Any]) -> dict[str, Any]:
        return schema.to_json(await method(schema.parse(kind, request)))

    return kind.method(), handle


def _check_config(config: dict[str, Any]) -> None:
    if (fault := trial_values.fault_of_config(config)) is not None:
        raise InvalidMessage(fault)
