"""What a chief answers to its callers: the methods of its gRPC service, each a dict in and a dict out."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from custom_components.distributed_tuner import cause, patches, rpc
from custom_components.distributed_tuner.answers import Ask, Grant
from custom_components.distributed_tuner.clock import Clock
from custom_components.distributed_tuner.errors import storable
from custom_components.distributed_tuner.record import Direction, SearchRecord
from custom_components.distributed_tuner.search_dir import record_to_json
from custom_components.distributed_tuner.store import Store
from custom_components.distributed_tuner.study import Study
from custom_components.distributed_tuner.suggester import OracleSuggester
from custom_components.distributed_tuner.trial_flow import TrialFlow

_LOG = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ChiefService:
    """The methods of a chief's service.

    Args:
      search: the search's own name, which tells it apart from others in the same place.
      study: who holds what.
      flow: the way of a trial between study and oracle.
      store: what is stored of the trials.
      suggester: the oracle.
      clock: seconds.
      record: the trials that changed since a revision, as a record.
      end_with: ends the search for a (reason, process, traceback).
    """

    def __init__(
        self,
        *,
        search: str,
        study: Study,
        flow: TrialFlow,
        store: Store,
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
        # Tells this chief's revisions from those of the one before it.
        self._incarnation = secrets.token_hex(4)
        self._fault: tuple[str, str] | None = None

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

    async def suggest(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker wants a trial; held open while there is none."""
        worker, process = request["worker"], request.get("process", "")
        ends = self._clock() + min(float(request.get("wait_seconds", rpc.LONG_POLL_SECONDS)), rpc.LONG_POLL_SECONDS)
        while True:
            version = self._study.version
            answer = await self._flow.ask(worker, process, max(0.0, ends - self._clock()))
            await self._flow.commit()
            left = ends - self._clock()
            if answer is not Ask.WAIT or left <= 0:
                return self._told(answer)
            await self._flow.changes.wait(version, left)

    async def finish(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker's trial ended; a worker that wants the next one gets it with the answer, if there is one at once.

        Until it has the answer the worker takes the ended trial for its own: nothing here may wait for a slow oracle.
        """
        worker, trial_id = request["worker"], request["trial_id"]
        accepted = self._study.begin_finish(
            worker,
            trial_id,
            request.get("epochs"),
            request.get("attempt"),
            succeeded=bool(request["succeeded"]),
            process=request.get("process", ""),
        )
        if accepted:
            end = {
                "succeeded": bool(request["succeeded"]),
                "retry": bool(request.get("retry", True)),
                "dropped": bool(request.get("dropped", False)),
                "reports": request.get("reports", []),
                "message": None if request.get("message") is None else storable(request["message"]),
                "hyperparameters": request.get("hyperparameters"),
                "cut": request.get("cut"),
            }
            await self._flow.take(trial_id, end)
        answer = self._flow.ask_at_once(worker, request.get("process", "")) if request.get("next") else None
        await self._flow.commit()
        return {"accepted": accepted, **(self._told(answer) if answer else {})}

    async def heartbeat(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker lives."""
        directive, reason = self._study.heartbeat(
            request["worker"], request.get("trial_id"), request.get("epochs"), self._clock(), request.get("process", "")
        )
        return {"directive": directive.value, "reason": reason}

    async def release(self, request: dict[str, Any]) -> dict[str, Any]:
        """A preempted worker gives its trial back."""
        self._study.release(request["worker"], request["trial_id"], self._clock())
        await self._flow.commit()
        return {}

    async def gone(self, request: dict[str, Any]) -> dict[str, Any]:
        """The cluster saw a worker die."""
        trial_id = self._study.gone(
            request["worker"],
            request["reason"],
            self._clock(),
            request.get("process", ""),
            bool(request.get("fault", True)),
        )
        await self._flow.commit()
        return {"trial_id": trial_id}

    async def fail(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker met an error outside of a trial: it ends the search at once, or is counted (`again`)."""
        worker, message, trace = request["worker"], storable(request["message"]), storable(request.get("traceback", ""))
        trace = trace or message
        message = cause.of_message(message)
        if request.get("again"):
            _LOG.warning("%s: %s\n%s", worker, message, trace)
            # The first error of a row is the one to tell of; a chief that died meanwhile knows this one.
            self._fault = (worker, trace) if self._fault is None or not self._study.faults else self._fault
            reason = self._study.fault(worker, message)
            if reason is None:
                await self._flow.commit()
            else:
                await self._end_with(reason, *self._fault)
        else:
            await self._end_with(message, worker, trace)
        return {}

    async def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """Somebody wants the search to end with what there is."""
        self._study.stop(request["reason"], self._clock())
        await self._flow.commit()
        return {}

    async def space(self, request: dict[str, Any]) -> dict[str, Any]:
        """The search space."""
        del request
        return {"hyperparameters": self._suggester.space()}

    async def update_space(self, request: dict[str, Any]) -> dict[str, Any]:
        """A worker met new hyperparameters."""
        await self._flow.update_space(request["hyperparameters"])
        await self._flow.commit()
        return {}

    async def best(self, request: dict[str, Any]) -> dict[str, Any]:
        """The best trials, as keras-tuner stores them: as many as one message holds, and which to ask for next."""
        ids = request.get("ids")
        if ids is None:
            ids = [trial["trial_id"] for trial in self.best_trials(int(request["count"]))]
        trials: list[dict[str, Any]] = []
        size = 0
        for trial_id in ids:
            trial = self.trial_state(trial_id)
            size += len(patches.dumps(trial))
            if trials and size > rpc.PORTION_BYTES:
                break
            trials.append(trial)
        return {"trials": trials, "left": ids[len(trials) :]}

    async def status(self, request: dict[str, Any]) -> dict[str, Any]:
        """The search as data: the trials that changed since the revision that the caller knows, if it knows one."""
        incarnation, known = request.get("revision") or ("", -1)
        since = known if incarnation == self._incarnation else -1
        revision = self._study.revision
        return {
            "revision": [self._incarnation, revision],
            "whole": since == -1,
            "over": self._study.over,
            "stop_reason": self._study.stop_reason,
            "workers": self._study.workers(self._clock()),
            "record": None if since == revision else record_to_json(self._record(since)),
        }

    def holder(self, trial_id: str) -> str | None:
        """The worker that holds this trial, None if nobody does."""
        return self._study.holder(trial_id)

    def trial_state(self, trial_id: str) -> dict[str, Any]:
        """A trial as keras-tuner stores it."""
        return self._store.trials[trial_id]

    def best_trials(self, count: int) -> list[dict[str, Any]]:
        """The best completed trials as keras-tuner stores them, best first."""
        return self._store.best(count, Direction(self._suggester.oracle.objective.direction))

    def _told(self, answer: Grant | Ask) -> dict[str, Any]:
        if isinstance(answer, Grant):
            trial = self.trial_state(answer.trial_id)
            return {"answer": "trial", "trial": trial, "attempt": answer.attempt, "search": self._search}
        if answer is Ask.OVER:
            return {"answer": "over", "reason": self._study.stop_reason}
        return {"answer": "wait"}
