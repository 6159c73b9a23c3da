"""How many trials a second a chief can hand out and take back, beside keras-tuner's own chief, in one run.

    python -m benchmarks.oracle [--quick]

- Rounds (create, report, end) a second over gRPC with random search, by 8 clients without a pause, over 2,000 trials:
  `speedup_vs_stock` compares the last 200 of both; ours has every transition synced to the disk, keras-tuner's has not.
- With 1, 8, 64 and 500 simulated workers that each hold a trial for 5 s and send heartbeats as real ones do: p50 and
  p99 of the wait for a suggestion, and the share of time that workers were busy.
- While Bayesian optimization computes suggestions: p99 of a heartbeat, which a process of its own sends.

Clients and chief share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import psutil
import rich.console
import rich.table
from keras_tuner.src import protos

from custom_components.distributed_tuner import files, rpc
from custom_components.distributed_tuner.options import SearchOptions

CLIENTS = 8
START_SECONDS = 120.0
TRIAL_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Server:
    """A chief under load."""

    address: str
    token: str
    pid: int

    def memory_mib(self) -> float:
        """Its resident memory, MiB."""
        return psutil.Process(self.pid).memory_info().rss / 2**20


@contextlib.contextmanager
def serving(which: str, kind: str, max_trials: int) -> Iterator[Server]:
    """Starts a chief of ours or of keras-tuner, and ends it."""
    token = secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory() as folder, socket.socket() as reserved:
        root = Path(folder)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        reserved.close()
        command = [sys.executable, "-m", "benchmarks.oracle_server", which, folder, kind, str(max_trials)]
        environment = {**os.environ, "KERASTUNER_ORACLE_PORT": str(port), "KERASTUNER_TUNER_ID": "chief"}
        log = root / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment)
        try:
            assert process.stdin is not None
            process.stdin.write(token.encode() + b"\n")
            process.stdin.close()
            address = _wait_until_serving(which, root, port, process, log)
            yield Server(address, token, process.pid)
        finally:
            process.send_signal(signal.SIGTERM if which == "ours" else signal.SIGKILL)
            process.wait(30)


def _wait_until_serving(which: str, root: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if which == "ours":
            data = files.read_json(root / "chief.json")
            if data is not None:
                return str(data["address"])
        else:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1.0):
                return f"127.0.0.1:{port}"
        time.sleep(0.05)
    raise RuntimeError(f"the {which} chief does not serve:\n{files.tail(log)}")


class OurClient:
    """Speaks to our chief as a worker does."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._metadata = ((rpc.TOKEN_KEY, rpc.bearer(token)),)
        self._calls = {
            method: channel.unary_unary(
                f"/{rpc.SERVICE}/{method}", request_serializer=rpc.encode, response_deserializer=rpc.decode
            )
            for method in (rpc.SUGGEST, rpc.FINISH, rpc.HEARTBEAT)
        }

    async def call(self, method: str, message: dict[str, Any]) -> dict[str, Any]:
        """One call."""
        return await self._calls[method](message, metadata=self._metadata, timeout=120.0)

    async def suggest(self, worker: str) -> dict[str, Any] | None:
        """A trial, None when the search is over."""
        while True:
            answer = await self.call(rpc.SUGGEST, {"worker": worker})
            if answer["answer"] != "wait":
                return answer["trial"] if answer["answer"] == "trial" else None

    async def finish(self, worker: str, trial: dict[str, Any]) -> dict[str, Any] | None:
        """Reports a score, ends the trial, and returns the next one as `suggest` does."""
        answer = await self.call(
            rpc.FINISH,
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


class OurRounds:
    """A worker of ours: the end of a trial brings the next one."""

    def __init__(self, client: OurClient) -> None:
        self._client = client
        self._held: dict[str, dict[str, Any] | None] = {}

    async def round(self, worker: str) -> bool:
        """One trial; False when the search is over."""
        if worker not in self._held:
            self._held[worker] = await self._client.suggest(worker)
        trial = self._held[worker]
        if trial is not None:
            self._held[worker] = await self._client.finish(worker, trial)
        return trial is not None


class StockClient:
    """Speaks keras-tuner's protocol as its worker does: four calls a trial."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = protos.get_service_grpc().OracleStub(channel)
        self._messages = protos.get_service()
        self._running = protos.get_proto().TrialStatus.RUNNING
        self._completed = protos.get_proto().TrialStatus.COMPLETED

    async def round(self, worker: str) -> bool:
        """One trial; False when the search is over."""
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


def _score(values: dict[str, Any]) -> float:
    return float(values["dropout"]) + 1.0 / float(values["units"])


async def throughput(which: str, server: Server, trials: int) -> list[float]:
    """The times at which rounds ended, seconds, by `CLIENTS` clients without a pause."""
    async with grpc.aio.insecure_channel(server.address, options=rpc.CHANNEL_OPTIONS) as channel:
        client = OurRounds(OurClient(channel, server.token)) if which == "ours" else StockClient(channel)
        ended: list[float] = []

        async def work(worker: str) -> None:
            while len(ended) < trials and await client.round(worker):
                ended.append(time.perf_counter())

        await asyncio.gather(*(work(f"worker-{index}") for index in range(CLIENTS)))
        return ended


async def crowd(server: Server, workers: int, seconds: float) -> tuple[list[float], float]:
    """Simulated workers that hold each trial for `TRIAL_SECONDS`.

    Returns:
      (each wait for a suggestion after the first, seconds; the share of time from the first trials' end on in which
      workers were busy).
    """
    beat = SearchOptions().heartbeat_seconds
    async with grpc.aio.insecure_channel(server.address, options=rpc.CHANNEL_OPTIONS) as channel:
        client = OurClient(channel, server.token)
        waits: list[float] = []
        busy = 0.0
        ends = time.perf_counter() + seconds

        async def hold(worker: str, trial: dict[str, Any], until: float) -> None:
            while (left := until - time.perf_counter()) > 0:
                await asyncio.sleep(min(beat, left))
                await client.call(rpc.HEARTBEAT, {"worker": worker, "trial_id": trial["trial_id"], "epochs": 1})

        async def work(index: int) -> None:
            nonlocal busy
            worker = f"{workers}-{index}"
            # Real workers come in one by one; all at once is another question.
            await asyncio.sleep(TRIAL_SECONDS * index / workers)
            trial = await client.suggest(worker)
            while trial is not None and time.perf_counter() < ends:
                await hold(worker, trial, time.perf_counter() + TRIAL_SECONDS)
                busy += TRIAL_SECONDS
                asked = time.perf_counter()
                trial = await client.finish(worker, trial)
                waits.append(time.perf_counter() - asked)
            spans.append(time.perf_counter() - begins)

        spans: list[float] = []
        begins = time.perf_counter()
        await asyncio.gather(*(work(index) for index in range(workers)))
        idle_before_start = TRIAL_SECONDS * (workers - 1) / 2
        return waits, busy / (sum(spans) - idle_before_start)


def heartbeats_beside_bayesian(server: Server) -> list[float]:
    """How long heartbeats of another process took while 4 clients kept the Bayesian oracle computing, seconds."""

    async def work() -> None:
        async with grpc.aio.insecure_channel(server.address, options=rpc.CHANNEL_OPTIONS) as channel:
            client = OurRounds(OurClient(channel, server.token))

            async def rounds(worker: str) -> None:
                while await client.round(worker):
                    continue

            await asyncio.gather(*(rounds(f"worker-{index}") for index in range(4)))

    command = [sys.executable, "-m", "benchmarks.heartbeats", server.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as beating:
        assert beating.stdin is not None
        beating.stdin.write(server.token + "\n")
        beating.stdin.flush()
        asyncio.run(work())
        times, _ = beating.communicate(timeout=START_SECONDS)
    return [float(seconds) for seconds in json.loads(times)]


def rate(ended: list[float], first: int, last: int) -> float:
    """Rounds a second from the `first` to the `last` of them."""
    return (last - first - 1) / (ended[last - 1] - ended[first])


def main() -> None:
    """Measures and prints a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the trials, and no crowd of 500")
    quick = parser.parse_args().quick
    trials, window = (200, 50) if quick else (2000, 200)
    crowds = (1, 8) if quick else (1, 8, 64, 500)
    console = rich.console.Console()
    rates: dict[str, tuple[float, float]] = {}
    for which in ("ours", "stock"):
        with serving(which, "random", trials + 2 * CLIENTS) as server:
            ended = asyncio.run(throughput(which, server, trials))
            rates[which] = rate(ended, 0, window), rate(ended, len(ended) - window, len(ended))
            console.print(
                f"{which}: {rates[which][0]:.0f} rounds/s over the first {window}, "
                f"{rates[which][1]:.0f} over the last, {server.memory_mib():.0f} MiB"
            )
    result: dict[str, float] = {
        "speedup_vs_stock": rates["ours"][1] / rates["stock"][1],
        "per_second_first_200": rates["ours"][0],
        "per_second_last_200": rates["ours"][1],
    }
    table = rich.table.Table("workers", "p50 ms", "p99 ms", "busy", title="waiting for a suggestion, trials of 5 s")
    with serving("ours", "random", 1_000_000) as server:
        for workers in crowds:
            waits, busy = asyncio.run(crowd(server, workers, 12.0 if quick else 25.0))
            p50, p99 = np.percentile(waits, [50, 99]) * 1000
            table.add_row(str(workers), f"{p50:.1f}", f"{p99:.1f}", f"{busy:.3f}")
            result |= {f"p50_ms_{workers}": p50, f"p99_ms_{workers}": p99, f"busy_share_{workers}": busy}
        result["memory_mib"] = server.memory_mib()
    console.print(table)
    with serving("ours", "bayesian", 30 if quick else 100) as server:
        beats = heartbeats_beside_bayesian(server)
        result["heartbeat_p99_ms_bayesian"] = float(np.percentile(beats, 99)) * 1000
    console.print(f"heartbeat beside a Bayesian oracle: p99 {result['heartbeat_p99_ms_bayesian']:.1f} ms")
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))


if __name__ == "__main__":
    main()
