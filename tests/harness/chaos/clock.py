"""A wall clock that jumps, by an hour and back, in the chief and its workers."""

from __future__ import annotations

import collections
import dataclasses
import signal

from custom_components.distributed_tuner.cluster.local.cluster import CHIEF
from tests.harness.chaos import jumping_clock, training_log
from tests.harness.chaos.arena import Arena
from tests.harness.chaos.faults import Result
from tests.harness.chaos.running import Plan

_JUMPS = (3600.0, -3600.0, 0.0, 86400.0, -86400.0)
_DEADLINE = 240.0


def jumps(arena: Arena) -> Result:
    """The clock jumps; after every other jump the chief starts anew, with the new time and leases from the old one."""
    fault = "a clock that jumps"
    plan = Plan(trials=6 if arena.small else 16, epochs=3, config={"clock": True})
    # When a trial ended is told by the clock that jumps; how often each was started is looked at instead.
    expected = arena.expected(plan, one_clock=False)
    running = arena.start(fault, plan)
    running.wait_until_busy()
    done = kills = 0
    for seconds in _JUMPS[:2] if arena.small else _JUMPS:
        running.pause(1.5)
        if running.over:
            break
        jumping_clock.jump(running.root, seconds)
        done += 1
        if done % 2 == 0:
            kills += running.hit(CHIEF, signal.SIGKILL)
    result = arena.end(fault, running, expected, deadline=_DEADLINE, tries=done, kills=kills)
    starts = collections.Counter(line.trial for line in running.lines() if line.epoch == training_log.START)
    again = sorted(trial for trial, count in starts.items() if count > 1)
    problems = [f"trials {', '.join(again)} were started again though no worker was lost"] if again else []
    unchanged = not any("follows" in running.cluster.tail(member, 10_000) for member in running.members)
    problems += ["no process followed the clock"] if unchanged else []
    return dataclasses.replace(result.but(problems), trials_run_twice=result.trials_run_twice + len(again))
