"""Workers without trials to run: what they say to a chief, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import grpc
import grpc.aio
from keras_tuner.src import protos

from benchmarks.chiefs import Server
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.rpc import protocol

BEAT_SECONDS = SearchOptions().heartbeat_seconds
_CALL_SECONDS = 120.0


class Rounds(Protocol):
    """Workers that do nothing but to begin and end trials."""

    async def round(self, worker: str) -> bool:
        """One trial; False when the search is over."""

    async def beat(self) -> None:
        """Keeps the trials that workers hold while they do no round."""


class OurClient:
    """Speaks to our chief as a worker does."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._metadata = ((protocol.TOKEN_KEY, protocol.bearer(token)),)
        self._calls = {
            method: channel.unary_unary(
                f"/{protocol.SERVICE}/{method}",
                request_serializer=protocol.encode,
                response_deserializer=protocol.decode,
            )
            for method in ("Suggest", "Finish", "Heartbeat")
        }

    async def suggest(self, worker: str) -> dict[str, Any] | None:
        """A trial, None when the search is over."""
        while True:
            answer = await self._call("Suggest", {"worker": worker})
            if answer["answer"] != "wait":
                return answer["trial"] if answer["answer"] == "trial" else None

    async def heartbeat(self, worker: str, trial: dict[str, Any], epochs: int) -> None:
        """Says that a trial goes on, and how many epochs of it are finished."""
        await self._call("Heartbeat", {"worker": worker, "trial_id": trial["trial_id"], "epochs": epochs})

    async def finish(self, worker: str, trial: dict[str, Any]) -> dict[str, Any] | None:
        """Reports a score, ends the trial, and returns the next one as `suggest` does."""
        answer = await self._call(
            "Finish",
            {
                "worker": worker,
                "next": True,
                "trial_id": trial["trial_id"],
                "succeeded": True,
                "reports": [[0, {"val_loss": _score(trial["hyperparameters"]["values"])}]],
                "hyperparameters": trial["hyperparameters"],
            },
        )
        return answer["trial"] if answer["answer"] == "trial" else await self.suggest(worker)

    async def _call(self, method: str, message: dict[str, Any]) -> dict[str, Any]:
        return await self._calls[method](message, metadata=self._metadata, timeout=_CALL_SECONDS)


class OurRounds:
    """Workers of ours: the end of a trial brings the next one."""

    def __init__(self, client: OurClient) -> None:
        self._client = client
        self._held: dict[str, dict[str, Any] | None] = {}

    async def round(self, worker: str) -> bool:
        """See `Rounds`."""
        if worker not in self._held:
            self._held[worker] = await self._client.suggest(worker)
        trial = self._held[worker]
        if trial is not None:
            self._held[worker] = await self._client.finish(worker, trial)
        return trial is not None

    async def beat(self) -> None:
        """See `Rounds`."""
        held = [(worker, trial) for worker, trial in self._held.items() if trial is not None]
        await asyncio.gather(*(self._client.heartbeat(worker, trial, 0) for worker, trial in held))


class StockRounds:
    """keras-tuner's workers: four calls a trial, which they hold for as long as they like."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = protos.get_service_grpc().OracleStub(channel)
        self._messages = protos.get_service()
        self._running = protos.get_proto().TrialStatus.RUNNING
        self._completed = protos.get_proto().TrialStatus.COMPLETED

    async def round(self, worker: str) -> bool:
        """See `Rounds`."""
        trial = (await self._stub.CreateTrial(self._messages.CreateTrialRequest(tuner_id=worker))).trial
        if trial.status != self._running:
            return False
        await self._stub.GetTrial(self._messages.GetTrialRequest(trial_id=trial.trial_id))
        score = (len(trial.trial_id) + hash(trial.trial_id) % 997) / 997
        await self._stub.UpdateTrial(
            self._messages.UpdateTrialRequest(trial_id=trial.trial_id, metrics={"val_loss": score}, step=0)
        )
        trial.status = self._completed
        await self._stub.EndTrial(self._messages.EndTrialRequest(trial=trial))
        return True

    async def beat(self) -> None:
        """See `Rounds`: there is nothing to keep."""


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[OurClient]:
    """A client of our chief."""
    async with grpc.aio.insecure_channel(server.address, options=protocol.CHANNEL_OPTIONS) as channel:
        yield OurClient(channel, server.token)


@asynccontextmanager
async def connected_to_ours(server: Server) -> AsyncIterator[Rounds]:
    """Workers of our chief."""
    async with connected(server) as client:
        yield OurRounds(client)


@asynccontextmanager
async def connected_to_stock(server: Server) -> AsyncIterator[Rounds]:
    """Workers of keras-tuner's chief."""
    async with grpc.aio.insecure_channel(server.address, options=protocol.CHANNEL_OPTIONS) as channel:
        yield StockRounds(channel)


def _score(values: dict[str, Any]) -> float:
    return float(values["dropout"]) + 1.0 / float(values["units"])
