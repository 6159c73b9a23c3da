"""Chiefs compared in short turns, one after another again and again.

What else the machine does changes from one minute to the next, and with it every figure. A turn lasts a fraction of a
second up to a few, so that two neighbours see the same machine: their ratio says more than either of them, and the
median of the ratios is that of no unlucky moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TypeVar

from benchmarks.clients.oracle_clients import BEAT_SECONDS, Rounds

CLIENTS = 8

_Name = TypeVar("_Name")


async def race(runners: Mapping[str, Rounds], *, turns: int, rounds: int) -> dict[str, list[float]]:
    """Rounds a second of each runner in each turn of so many rounds, all of them in each turn, in changing order.

    Raises:
      RuntimeError: a search was over before its time.
    """
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(turns):
        for name in rotated(list(runners), number):
            async with _held(runner for other, runner in runners.items() if other != name):
                rates[name].append(await _turn(runners[name], rounds))
    return rates


def rotated(names: Sequence[_Name], by: int) -> list[_Name]:
    """The names in their order, with another one first."""
    start = by % len(names)
    return [*names[start:], *names[:start]]


def paired_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """The median of first over second, turn by turn."""
    return statistics.median(ratios(first, second))


def ratios(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """First over second, turn by turn."""
    return [a / b for a, b in zip(first, second, strict=True)]


def together(rates: Sequence[float]) -> float:
    """The rate over several turns of the same number of rounds, without what lay between them."""
    return statistics.harmonic_mean(rates)


async def _turn(runner: Rounds, rounds: int) -> float:
    left = rounds

    async def work(worker: str) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            if not await runner.round(worker):
                raise RuntimeError(f"the search was over with {left} rounds to go")

    began = time.perf_counter()
    await asyncio.gather(*(work(f"worker-{index}") for index in range(CLIENTS)))
    return rounds / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def _held(idle: Iterable[Rounds]) -> AsyncIterator[None]:
    """Those whose turn it is not lose no trial meanwhile."""
    resting = list(idle)

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await asyncio.gather(*(runner.beat() for runner in resting))

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
