"""keras-tuner's own protocol, for workers that are plain keras-tuner scripts (KERASTUNER_ORACLE_IP and so on).

What that protocol lacks is compensated for here. Numbers come back as float32, so the chief keeps its own values where
they are the same. A request for a trial is held open while there is none, since a stock worker would ask again at once.
A failed trial comes without a reason. A result that a chief's crash split in two (the metrics are lost, the end
arrives) counts as never sent: the trial is run again.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np
from keras_tuner.src import protos
from keras_tuner.src.engine import hyperparameters as hp_module
from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.engine import trial as trial_module
from keras_tuner.src.tuners import hyperband

from custom_components.distributed_tuner.chief import refusals
from custom_components.distributed_tuner.chief.chief import Chief
from custom_components.distributed_tuner.errors import SearchError, describe
from custom_components.distributed_tuner.oracle import metric_history
from custom_components.distributed_tuner.rpc import messages, schema
from custom_components.distributed_tuner.rpc.messages import Next
from custom_components.distributed_tuner.space import copies
from custom_components.distributed_tuner.study import limits

_LOG = logging.getLogger(__name__)

_Status = trial_module.TrialStatus
_NO_REASON = "it failed in a plain keras-tuner worker, whose protocol carries no reason: see that worker's output"
_STOPPED = "its tuner ended it with status STOPPED and gave no reason"


_Method = Callable[["StockService", Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]


def _guarded(method: _Method) -> _Method:
    """Handles what the chief raises as its own service does: it ends the search, or becomes the call's status."""

    @functools.wraps(method)
    async def guarded(service: StockService, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        return await refusals.answer(service.chief, context, method(service, request, context))

    return guarded


def check_algorithm(oracle: oracle_module.Oracle) -> None:
    """Checks that a plain script can run each of the search's trials on its own.

    Raises:
      SearchError: it cannot: trials go on from the weights of earlier ones.
    """
    if isinstance(oracle, hyperband.HyperbandOracle):
        raise SearchError(
            f"search option allow_stock_workers: {type(oracle).__name__} has later rounds go on from the weights of "
            "earlier trials. A plain keras-tuner script has a directory of its own, without the weights of the trials "
            "that others ran, and others lack those of its trials; a script that is not written for Hyperband trains "
            "for as many epochs as it likes. Leave the option out, or choose another algorithm, such as random search "
            "or Bayesian optimization"
        )


@dataclasses.dataclass
class _Held:
    """A trial as a script was given it, and what the script has reported since.

    Attributes:
      worker: the script's id.
      process: the script's process, see `limits.stock_process`.
      attempt: how many times the trial was retried from scratch before.
      state: keras-tuner's state of the trial.
      reports: (step, metrics) so far.
      stopped: the trial's end reported from inside `run_trial`, which may be followed by another.
    """

    worker: str
    process: str
    attempt: int
    state: dict[str, Any]
    reports: list[tuple[int, dict[str, float]]] = dataclasses.field(default_factory=list)
    stopped: messages.Finish | None = None

    @property
    def trial_id(self) -> str:
        return str(self.state["trial_id"])

    @property
    def trial(self) -> trial_module.Trial:
        return copies.trial(self.state)


class StockService:
    """keras-tuner's Oracle service, backed by a chief."""

    def __init__(self, chief: Chief) -> None:
        self.chief = chief
        self._held: dict[str, _Held] = {}  # by process

    @_guarded
    async def GetSpace(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The search space."""
        config = (await self.chief.service.space(messages.Space())).hyperparameters
        return protos.get_service().GetSpaceResponse(hyperparameters=copies.hyperparameters(config).to_proto())

    @_guarded
    async def UpdateSpace(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A worker discovered new hyperparameters."""
        config = _read(lambda: hp_module.HyperParameters.from_proto(request.hyperparameters)).get_config()
        await self.chief.service.update_space(schema.parse(messages.UpdateSpace, {"hyperparameters": config}))
        return protos.get_service().UpdateSpaceResponse()

    @_guarded
    async def CreateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A worker asks for a trial."""
        process = limits.stock_process(context.peer())
        asked = schema.parse(messages.Suggest, {"worker": request.tuner_id, "process": process})
        held = self._held.pop(process, None)
        if held is not None and held.stopped is not None:
            await self.chief.service.finish(held.stopped)
        answer = await self.chief.service.suggest(asked)
        if answer.trial is not None:
            held = self._held[process] = _Held(asked.worker, process, answer.attempt or 0, answer.trial)
            trial = held.trial
        else:
            if answer.answer is Next.REPLACED:
                _LOG.warning("another script has the id %s by now: the earlier one is told to end", asked.worker)
            status = _Status.IDLE if answer.answer is Next.WAIT else _Status.STOPPED
            trial = trial_module.Trial(hp_module.HyperParameters(), trial_id="", status=status)
        return protos.get_service().CreateTrialResponse(trial=trial.to_proto())

    @_guarded
    async def UpdateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Metrics of a running trial: kept until its end."""
        held = await self._find(request.trial_id, context)
        (report,) = _read(lambda: schema.reports([[int(request.step), dict(request.metrics)]], "metrics"))
        held.reports.append(report)
        return protos.get_service().UpdateTrialResponse(trial=self._with_metrics(held).to_proto())

    @_guarded
    async def GetTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A running trial."""
        held = await self._find(request.trial_id, context)
        return protos.get_service().GetTrialResponse(trial=self._with_metrics(held).to_proto())

    @_guarded
    async def EndTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A trial ended, or its tuner stops it from inside `run_trial`: keras-tuner will end it again after that."""
        ended = _read(lambda: trial_module.Trial.from_proto(request.trial))
        held = await self._find(ended.trial_id, context)
        succeeded = ended.status == _Status.COMPLETED
        stopped = ended.status == _Status.STOPPED
        end = schema.parse(
            messages.Finish,
            {
                "worker": held.worker,
                "process": held.process,
                "trial_id": held.trial_id,
                "attempt": held.attempt,
                "succeeded": succeeded,
                "retry": ended.status == _Status.INVALID,
                "dropped": stopped,
                "reports": [[step, metrics] for step, metrics in held.reports],
                "message": None if succeeded else _STOPPED if stopped else _NO_REASON,
                "hyperparameters": _read(lambda: exact(ended.hyperparameters, held.trial.hyperparameters)).get_config(),
            },
        )
        held.stopped = end if stopped else None
        if succeeded and not held.reports:
            await self.chief.service.release(messages.Release(held.worker, held.trial_id, held.process))
        elif not stopped:
            await self.chief.service.finish(end)
        return protos.get_service().EndTrialResponse()

    @_guarded
    async def GetBestTrials(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The best completed trials."""
        states = self.chief.service.best_trials(max(1, request.num_trials))
        trials = [copies.trial(state).to_proto() for state in states]
        return protos.get_service().GetBestTrialsResponse(trials=trials)

    async def _find(self, trial_id: str, context: grpc.aio.ServicerContext[Any, Any]) -> _Held:
        """The trial that this script was given; after a reconnect or a restart of the chief, the one that it holds.

        Aborts the call for a trial held by one of the search's own workers.
        """
        held = self._held.get(limits.stock_process(context.peer()))
        if held is not None and held.trial_id == trial_id:
            return held
        holder = self.chief.service.holder(trial_id)
        if holder is None or not limits.is_stock(holder.process):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"trial {trial_id} does not run in a keras-tuner script")
        assert holder is not None
        held = self._held.get(holder.process)
        if held is None or held.trial_id != trial_id:
            state = self.chief.service.trial_state(trial_id)
            held = self._held[holder.process] = _Held(holder.worker, holder.process, holder.attempt, state)
        return held

    def _with_metrics(self, held: _Held) -> trial_module.Trial:
        trial = held.trial
        for step, metrics in held.reports:
            metric_history.add(trial.metrics, self.chief.objective, metrics, step)
        return trial


def _read(read: Callable[[], Any]) -> Any:
    """What `read` makes of a request.

    Raises:
      InvalidMessage: keras-tuner cannot parse it.
    """
    try:
        return read()
    except Exception as error:
        # Only keras-tuner's classes run here; they may raise anything on values that they do not expect.
        raise schema.InvalidMessage(f"the request is not such as keras-tuner sends: {describe(error)}") from error


def exact(received: hp_module.HyperParameters, known: hp_module.HyperParameters) -> hp_module.HyperParameters:
    """`received`, with each value that equals the `known` one as a float32 replaced by the known one."""
    for name, value in received.values.items():
        before = known.values.get(name)
        if isinstance(before, float) and np.float32(before) == np.float32(value):
            received.values[name] = before
    return received
