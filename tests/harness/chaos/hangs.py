"""Processes that hang, and wake up late."""

from __future__ import annotations

import random
import signal

from custom_components.distributed_tuner.cluster.local.cluster import CHIEF
from custom_components.distributed_tuner.record.record import Outcome, TrialStatus
from tests.harness.chaos.arena import Arena
from tests.harness.chaos.faults import Result
from tests.harness.chaos.running import LEASE_SECONDS, Plan, Running

_DEADLINE = 240.0


def worker(arena: Arena) -> Result:
    """A worker hangs with a trial until somebody else has it, and then wakes up."""
    fault = "SIGSTOP of a worker, woken late"
    plan = Plan(trials=6 if arena.small else 24, epochs=4)
    expected, choose = arena.expected(plan), random.Random(f"{arena.seed}/{fault}")
    running = arena.start(fault, plan)

    def hang() -> bool:
        running.pause(choose.uniform(0.2, 2.0))
        held = _held(running)
        if not held:
            return False
        trial, name = choose.choice(held)
        losses = _losses(running, trial)
        if not running.hit(name, signal.SIGSTOP):
            return False
        running.wait(lambda: _losses(running, trial) > losses, 4 * LEASE_SECONDS)
        running.pause(choose.uniform(0.0, 3.0))
        running.hit(name, signal.SIGCONT)
        return True

    done = running.strike(2 if arena.small else 10, hang)
    return arena.end(fault, running, expected, deadline=_DEADLINE, tries=done)


def resumed_worker(arena: Arena) -> Result:
    """A worker hangs while it takes up a saved trial, and wakes up when the next one has cleared its files away."""
    fault = "SIGSTOP of a worker that resumes"
    # Many epochs: each worker has to be met before it has finished the trial.
    plan = Plan(trials=6, epochs=10)
    expected = arena.expected(plan)
    running = arena.start(fault, plan)
    first = _next_run(running, 1, set())
    killed = _hit(running, first, signal.SIGKILL)
    second = _next_run(running, 1, {first}, first)
    stopped = _hit(running, second, signal.SIGSTOP)
    # Two epochs on, so that the third has saved one and removed what it found.
    third = _next_run(running, 2, {first, second}, second)
    woken = _hit(running, second, signal.SIGCONT)
    result = arena.end(fault, running, expected, deadline=_DEADLINE, kills=1)
    brought_about = killed and stopped and woken and third is not None
    return result.but([] if brought_about else ["the trial ended before the fault could be brought about"])


_Run = tuple[str, int]  # a trial, and the process that runs it


def _next_run(running: Running, epoch: int, known: set[_Run | None], after: _Run | None = None) -> _Run | None:
    """The first other run that begins this epoch or a later one, of the same trial as `after` if that is given."""
    found: list[_Run] = []

    def look() -> bool:
        runs = [(line.trial, int(line.process)) for line in running.lines() if line.epoch >= epoch]
        found[:] = [run for run in runs if run not in known and (after is None or run[0] == after[0])]
        return bool(found)

    running.wait(look, 60.0)
    return found[0] if found else None


def _hit(running: Running, run: _Run | None, number: signal.Signals) -> bool:
    def names() -> list[str]:
        return [name for name in running.workers if run is not None and running.cluster.pid(name) == run[1]]

    # The cluster may hear of a process after it has begun to train.
    running.wait(names, 5.0)
    return any(running.hit(name, number) for name in names())


def chief(arena: Arena) -> Result:
    """The chief hangs for longer than a lease: no worker may lose its trial for that."""
    fault = "SIGSTOP of the chief"
    plan = Plan(trials=6 if arena.small else 24, epochs=4)
    expected, choose = arena.expected(plan), random.Random(f"{arena.seed}/{fault}")
    running = arena.start(fault, plan)

    def hang() -> bool:
        running.pause(choose.uniform(0.2, 2.0))
        if not running.hit(CHIEF, signal.SIGSTOP):
            return False
        running.pause(choose.uniform(1.1, 2.0) * LEASE_SECONDS)
        running.hit(CHIEF, signal.SIGCONT)
        return True

    done = running.strike(1 if arena.small else 5, hang)
    result = arena.end(fault, running, expected, deadline=_DEADLINE, tries=done)
    trials = running.found.record.trials if running.found else ()
    lost = [trial.trial_id for trial in trials if any(stay.outcome is Outcome.LOST for stay in trial.stays)]
    return result.but([f"trials {', '.join(lost)} were taken from workers that lived"] if lost else [])


def _held(running: Running) -> list[tuple[str, str]]:
    """(trial, worker) of each trial that is with a worker."""
    trials = running.record.trials if running.record else ()
    return [(trial.trial_id, trial.stays[-1].worker) for trial in trials if trial.status is TrialStatus.RUNNING]


def _losses(running: Running, name: str) -> int:
    trials = running.record.trials if running.record else ()
    return sum(stay.outcome is Outcome.LOST for trial in trials if trial.trial_id == name for stay in trial.stays)
