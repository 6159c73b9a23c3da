"""Processes that are killed, or told to go, at random moments."""

from __future__ import annotations

import dataclasses
import random
import signal
import time
from collections.abc import Callable, Sequence

import psutil

from tests.harness.chaos.arena import Arena
from tests.harness.chaos.faults import Result, together
from tests.harness.chaos.running import Plan, Running

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
    Kind("kill-worker", "kill -9 of a worker", [(_ANY, signal.SIGKILL)], 0.15),
    Kind("term-worker", "SIGTERM of a worker", [(_ANY, signal.SIGTERM)], 0.15),
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

ALGORITHMS = ("random", "bayesian", "grid", "hyperband")


def faults(kills: int = KILLS) -> dict[str, Callable[[Arena], Result]]:
    """Each kind of kill on searches of its own, and all kinds in one of each algorithm: `kills` signals in all."""

    def made(fault: str, kinds: Sequence[Kind], share: float, algorithm: str = "random") -> Callable[[Arena], Result]:
        return lambda arena: suffer(arena, fault, kinds, max(1, round(kills * share)), algorithm)

    single = {kind.name: made(kind.fault, [kind], kind.share) for kind in KINDS}
    share = (1.0 - sum(kind.share for kind in KINDS)) / len(ALGORITHMS)
    mixed = {f"kill-{name}": made(f"all these kills of a {name} search", KINDS, share, name) for name in ALGORITHMS}
    return {**single, **mixed}


def suffer(arena: Arena, fault: str, kinds: Sequence[Kind], kills: int, algorithm: str = "random") -> Result:
    """Runs searches until so many signals have met a process."""
    plan = Plan(trials=6, epochs=3) if arena.small else Plan(trials=40, epochs=4, workers=4)
    # keras-tuner's grid search knows a configuration only when the one before has ended: one worker has all the work.
    trials = min(plan.trials, 12) if algorithm == "grid" else plan.trials
    plan = dataclasses.replace(plan, algorithm=algorithm, trials=trials)
    choose = random.Random(f"{arena.seed}/{fault}")
    expected = arena.expected(plan)
    parts: list[Result] = []
    while (left := kills - sum(part.kills for part in parts)) > 0 and len(parts) < kills:
        running = arena.start(fault, plan)
        struck = _strike(running, kinds, left, choose)
        result = arena.end(fault, running, expected, deadline=_DEADLINE, tries=struck.tries, kills=struck.hits)
        parts.append(result.but(struck.problems))
        if parts[-1].problems:
            break
    return together(fault, parts)


@dataclasses.dataclass
class _Struck:
    """What was brought about: tries, signals that met a process, and processes that did not obey theirs."""

    tries: int = 0
    hits: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def _strike(running: Running, kinds: Sequence[Kind], kills: int, choose: random.Random) -> _Struck:
    """Strikes at random moments until there were enough hits, or the search is over."""
    struck = _Struck()
    running.wait_until_busy()
    ends = time.monotonic() + _DEADLINE
    while struck.hits < kills and not running.over and time.monotonic() < ends:
        running.pause(choose.uniform(*_BETWEEN))
        hits = 0
        for aim, number in choose.choice(kinds).aims:
            member = choose.choice(running.workers) if aim == _ANY else aim
            pid = running.cluster.pid(member)
            if running.hit(member, number):
                hits += 1
                if number == signal.SIGTERM and not _gone(running, pid):
                    struck.problems.append(f"{running.root.name}: {member} outlived its SIGTERM's grace period")
        struck.hits += hits
        struck.tries += hits > 0
    return struck


def _gone(running: Running, pid: int | None) -> bool:
    """Whether the process ends within the grace period; a zombie has."""
    return running.wait(lambda: pid is None or not psutil.pid_exists(pid), running.plan.options.grace_seconds)
