"""Simulated workers that hold each trial for a while and send heartbeats as real ones do."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.chiefs import Server
from benchmarks.clients.oracle_clients import BEAT_SECONDS, OurClient, connected

TRIAL_SECONDS = 5.0


async def crowd(
    server: Server, workers: int, seconds: float, trial_seconds: float = TRIAL_SECONDS
) -> tuple[list[float], float]:
    """Has so many workers run trials of `trial_seconds` for `seconds`.

    Returns:
      (each wait for a suggestion after the first, seconds; the share of time from the first trials' end on in which
      workers were busy).
    """
    waits: list[float] = []
    spans: list[float] = []
    busy = 0.0
    begins = time.perf_counter()

    async def work(client: OurClient, index: int) -> None:
        nonlocal busy
        worker = f"{workers}-{index}"
        # Real workers come in one by one; all at once is another question.
        await asyncio.sleep(trial_seconds * index / workers)
        trial = await client.suggest(worker)
        while trial is not None and time.perf_counter() < begins + seconds:
            await _hold(client, worker, trial, time.perf_counter() + trial_seconds)
            busy += trial_seconds
            asked = time.perf_counter()
            trial = await client.finish(worker, trial)
            waits.append(time.perf_counter() - asked)
        spans.append(time.perf_counter() - begins)

    async with connected(server) as client:
        await asyncio.gather(*(work(client, index) for index in range(workers)))
    idle_before_start = trial_seconds * (workers - 1) / 2
    return waits, busy / (sum(spans) - idle_before_start)


async def _hold(client: OurClient, worker: str, trial: dict[str, Any], until: float) -> None:
    while (left := until - time.perf_counter()) > 0:
        await asyncio.sleep(min(BEAT_SECONDS, left))
        await client.heartbeat(worker, trial, 1)
