"""keras-tuner's own protocol, for workers that are plain keras-tuner scripts (KERASTUNER_ORACLE_IP and so on).

What that protocol cannot carry is made up for here: numbers come back as float32, so the chief's own values stand for
what it knows already; a question without an answer is held open, since a stock worker asks again at once; a failed
trial comes without a reason. A result that the chief's death cut in two (the metrics are lost, the end arrives) counts
as never sent: the trial is run again.
"""

from __future__ import annotations

import functools
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

from custom_components.distributed_tuner import messages, metric_history, refusals, unchanged
from custom_components.distributed_tuner.chief import Chief
from custom_components.distributed_tuner.errors import SearchError, describe
from custom_components.distributed_tuner.limits import STOCK_PROCESS

_Status = trial_module.TrialStatus
_NO_REASON = "it failed in a plain keras-tuner worker, whose protocol carries no reason: see that worker's output"
_STOPPED = "its tuner ended it with status STOPPED and gave no reason"


_Method = Callable[["StockService", Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]


def _guarded(method: _Method) -> _Method:
    """What the chief raises ends the search, or is told to the caller, as in the chief's own service."""

    @functools.wraps(method)
    async def guarded(service: StockService, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        return await refusals.answer(service.chief, context, method(service, request, context))

    return guarded


def check_algorithm(oracle: oracle_module.Oracle) -> None:
    """Trials of the search must be such as a plain script can run alone.

    Raises:
      SearchError: they go on from what trials of others left.
    """
    if isinstance(oracle, hyperband.HyperbandOracle):
        raise SearchError(
            f"search option allow_stock_workers: {type(oracle).__name__} has later rounds go on from the weights of "
            "earlier trials. A plain keras-tuner script has a directory of its own, without the weights of the trials "
            "that others ran, and others lack those of its trials; a script that is not written for Hyperband trains "
            "for as many epochs as it likes. Leave the option out, or choose another algorithm, such as random search "
            "or Bayesian optimization"
        )


class StockService:
    """keras-tuner's Oracle service over a chief."""

    def __init__(self, chief: Chief) -> None:
        self.chief = chief
        self._reports: dict[str, list[tuple[int, dict[str, float]]]] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._holders: dict[str, str] = {}
        self._stopped: dict[str, messages.Finish] = {}  # by tuner

    async def GetSpace(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The search space."""
        config = (await self.chief.service.space(messages.Space()))["hyperparameters"]
        return protos.get_service().GetSpaceResponse(hyperparameters=unchanged.hyperparameters(config).to_proto())

    @_guarded
    async def UpdateSpace(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A worker met new hyperparameters."""
        config = _read(lambda: hp_module.HyperParameters.from_proto(request.hyperparameters)).get_config()
        await self.chief.service.update_space(messages.parse(messages.UpdateSpace, {"hyperparameters": config}))
        return protos.get_service().UpdateSpaceResponse()

    @_guarded
    async def CreateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A worker wants a trial."""
        if (end := self._stopped.pop(request.tuner_id, None)) is not None:
            await self.chief.service.finish(end)
        asked = messages.parse(messages.Suggest, {"worker": request.tuner_id, "process": STOCK_PROCESS})
        answer = await self.chief.service.suggest(asked)
        if answer["answer"] == "trial":
            state = answer["trial"]
            trial = unchanged.trial(state)
            self._states[trial.trial_id] = state
            self._holders[trial.trial_id] = request.tuner_id
            self._reports[trial.trial_id] = []
        else:
            status = _Status.STOPPED if answer["answer"] == "over" else _Status.IDLE
            trial = trial_module.Trial(hp_module.HyperParameters(), trial_id="", status=status)
        return protos.get_service().CreateTrialResponse(trial=trial.to_proto())

    @_guarded
    async def UpdateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Metrics of a running trial: kept until its end."""
        trial = await self._known(request.trial_id, context)
        (report,) = _read(lambda: messages.reports([[int(request.step), dict(request.metrics)]], "metrics"))
        self._reports[request.trial_id].append(report)
        return protos.get_service().UpdateTrialResponse(trial=self._with_metrics(trial).to_proto())

    @_guarded
    async def GetTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A running trial."""
        trial = await self._known(request.trial_id, context)
        return protos.get_service().GetTrialResponse(trial=self._with_metrics(trial).to_proto())

    @_guarded
    async def EndTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A trial ended, or its tuner stops it from inside of `run_trial`: keras-tuner ends it again after that."""
        ended = _read(lambda: trial_module.Trial.from_proto(request.trial))
        trial_id = ended.trial_id
        known = await self._known(trial_id, context)
        reports = self._reports[trial_id]
        succeeded = ended.status == _Status.COMPLETED
        stopped = ended.status == _Status.STOPPED
        worker = self._holders[trial_id]
        end = messages.parse(
            messages.Finish,
            {
                "worker": worker,
                "process": STOCK_PROCESS,
                "trial_id": trial_id,
                "succeeded": succeeded,
                "retry": ended.status == _Status.INVALID,
                "dropped": stopped,
                "reports": [[step, metrics] for step, metrics in reports],
                "message": None if succeeded else _STOPPED if stopped else _NO_REASON,
                "hyperparameters": exact(ended.hyperparameters, known.hyperparameters).get_config(),
            },
        )
        self._stopped.pop(worker, None)
        if stopped:
            self._stopped[worker] = end
        elif succeeded and not reports:
            await self.chief.service.release(messages.Release(worker, trial_id, STOCK_PROCESS))
        else:
            await self.chief.service.finish(end)
        return protos.get_service().EndTrialResponse()

    async def GetBestTrials(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The best completed trials."""
        states = self.chief.service.best_trials(max(1, request.num_trials))
        trials = [unchanged.trial(state).to_proto() for state in states]
        return protos.get_service().GetBestTrialsResponse(trials=trials)

    async def _known(self, trial_id: str, context: grpc.aio.ServicerContext[Any, Any]) -> trial_module.Trial:
        """The trial as the chief gave it; after the chief's restart, as it has it now."""
        if trial_id not in self._states:
            holder = self.chief.service.holder(trial_id)
            if holder is None:
                await context.abort(grpc.StatusCode.NOT_FOUND, f"trial {trial_id} is not running")
            self._states[trial_id] = self.chief.service.trial_state(trial_id)
            self._holders[trial_id] = str(holder)
            self._reports[trial_id] = []
        return unchanged.trial(self._states[trial_id])

    def _with_metrics(self, trial: trial_module.Trial) -> trial_module.Trial:
        for step, metrics in self._reports[trial.trial_id]:
            metric_history.add(trial.metrics, self.chief.objective, metrics, step)
        return trial


def _read(read: Callable[[], Any]) -> Any:
    """What `read` makes of a request.

    Raises:
      InvalidMessage: keras-tuner cannot make anything of it.
    """
    try:
        return read()
    except Exception as error:
        # Whatever its classes do with values that they do not expect: nothing else is run here.
        raise messages.InvalidMessage(f"the request is not such as keras-tuner sends: {describe(error)}") from error


def exact(received: hp_module.HyperParameters, known: hp_module.HyperParameters) -> hp_module.HyperParameters:
    """`received`, with the values that are `known` ones seen through float32 put back to what they were."""
    for name, value in received.values.items():
        before = known.values.get(name)
        if isinstance(before, float) and np.float32(before) == np.float32(value):
            received.values[name] = before
    return received
