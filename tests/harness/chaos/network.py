"""A network between workers and chief that loses its way, delays and breaks."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.harness.chaos.arena import Arena
from tests.harness.chaos.faults import Result
from tests.harness.chaos.proxy import Proxy
from tests.harness.chaos.running import LEASE_SECONDS, Plan, Running

_DEADLINE = 240.0


def resets(arena: Arena) -> Result:
    """All connections break, over and over."""

    def strike(running: Running, proxy: Proxy, choose: random.Random) -> bool:
        running.pause(choose.uniform(0.2, 1.5))
        proxy.reset()
        return True

    return _suffer(arena, "network resets", strike, tries=5 if arena.small else 40)


def delays(arena: Arena) -> Result:
    """Each piece of data arrives late, so that some answers come when nobody waits any more."""

    def strike(running: Running, proxy: Proxy, choose: random.Random) -> bool:
        proxy.delay(choose.uniform(0.1, 0.8))
        running.pause(2.0)
        return True

    return _suffer(arena, "network delays", strike, tries=3 if arena.small else 15)


def drops(arena: Arena) -> Result:
    """Nothing arrives for longer than a lease; then all of it does, late."""
    return _suffer(arena, "network silent, then late", _silence, tries=2 if arena.small else 10)


def cuts(arena: Arena) -> Result:
    """Nothing arrives for longer than a lease, and then connections break with all that was under way."""
    strike = functools.partial(_silence, broken=True)
    return _suffer(arena, "network silent, then broken", strike, tries=2 if arena.small else 10)


def forgets(arena: Arena) -> Result:
    """All connections go silent for good, as those that a router has forgotten; new ones can be made."""

    def strike(running: Running, proxy: Proxy, choose: random.Random) -> bool:
        running.pause(choose.uniform(0.5, 3.0))
        proxy.forget()
        return True

    return _suffer(arena, "network forgets connections", strike, tries=2 if arena.small else 10)


def _silence(running: Running, proxy: Proxy, choose: random.Random, *, broken: bool = False) -> bool:
    running.pause(choose.uniform(0.5, 3.0))
    proxy.hold()
    running.pause(choose.uniform(0.3, 1.8) * LEASE_SECONDS)
    if broken:
        proxy.reset()
    proxy.release()
    return True


def _suffer(arena: Arena, fault: str, strike: Callable[[Running, Proxy, random.Random], bool], *, tries: int) -> Result:
    plan = Plan(trials=6 if arena.small else 24, epochs=3)
    # A worker that is cut off trains on, since its chief may only be restarting; one result is taken in the end.
    expected = arena.expected(plan, lease_seconds=None)
    folder, choose = arena.folder(fault), random.Random(f"{arena.seed}/{fault}")
    with Proxy(SearchDir(folder).read_address, arena.seed) as proxy:
        running = arena.start(fault, plan, root=folder, worker_address=proxy.address)
        done = running.strike(tries, lambda: strike(running, proxy, choose))
        proxy.delay(0.0)
        return arena.end(fault, running, expected, deadline=_DEADLINE, tries=done)
