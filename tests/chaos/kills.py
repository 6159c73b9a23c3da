"""Processes that are killed, or told to go, at random moments."""

from __future__ import annotations

import dataclasses
import random
import signal
import time
from collections.abc import Callable, Sequence

from tests.chaos.arena import Arena, Plan, Running
from tests.chaos.faults import Result, together

KILLS = 200
# Seconds between two blows, at random in between.
_BETWEEN = (0.4, 2.4)
_DEADLINE = 240.0


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way to kill: `aims` are the blows of one try, each (a member or any worker, a signal)."""

    name: str
    fault: str
    aims: Sequence[tuple[str, signal.Signals]]
    share: float


_ANY = "worker"
KINDS = (
    Kind("kill-worker", "kill -9 of a worker", [(_ANY, signal.SIGKILL)], 0.2),
    Kind("term-worker", "SIGTERM of a worker", [(_ANY, signal.SIGTERM)], 0.2),
    Kind("kill-chief", "kill -9 of the chief", [("chief", signal.SIGKILL)], 0.15),
    Kind("term-chief", "SIGTERM of the chief", [("chief", signal.SIGTERM)], 0.1),
    Kind("kill-both", "kill -9 of a worker and the chief", [(_ANY, signal.SIGKILL), ("chief", signal.SIGKILL)], 0.15),
    Kind(
        "term-both",
        "SIGTERM of a worker, kill -9 of the chief",
        [("chief", signal.SIGKILL), (_ANY, signal.SIGTERM)],
        0.1,
    ),
)


def faults(kills: int = KILLS) -> dict[str, Callable[[Arena], Result]]:
    """Each kind of kill on searches of its own, and all kinds in one: `kills` signals in all."""

    def made(fault: str, kinds: Sequence[Kind], share: float) -> Callable[[Arena], Result]:
        return lambda arena: suffer(arena, fault, kinds, max(1, round(kills * share)))

    single = {kind.name: made(kind.fault, [kind], kind.share) for kind in KINDS}
    return {**single, "kill-any": made("kills of all these kinds", KINDS, 1.0 - sum(kind.share for kind in KINDS))}


def suffer(arena: Arena, fault: str, kinds: Sequence[Kind], kills: int) -> Result:
    """Runs searches until so many signals have met a process."""
    plan = Plan(trials=6, epochs=3) if arena.small else Plan(trials=40, epochs=4, workers=4)
    choose = random.Random(f"{arena.seed}/{fault}")
    expected = arena.expected(plan)
    parts: list[Result] = []
    while (left := kills - sum(part.kills for part in parts)) > 0 and len(parts) < kills:
        running = arena.start(fault, plan)
        tries, hits = _strike(running, kinds, left, choose)
        parts.append(arena.end(fault, running, expected, deadline=_DEADLINE, tries=tries, kills=hits))
        if parts[-1].problems:
            break
    return together(fault, parts)


def _strike(running: Running, kinds: Sequence[Kind], kills: int, choose: random.Random) -> tuple[int, int]:
    """(tries, signals that met a process) until there were enough, or the search is over."""
    tries = hits = 0
    running.wait_until_busy()
    ends = time.monotonic() + _DEADLINE
    while hits < kills and not running.over and time.monotonic() < ends:
        running.pause(choose.uniform(*_BETWEEN))
        kind = choose.choice(kinds)
        met = sum(
            running.hit(choose.choice(running.workers) if member == _ANY else member, number)
            for member, number in kind.aims
        )
        hits += met
        tries += met > 0
    return tries, hits
