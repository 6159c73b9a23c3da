"""All faults by name."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Callable

from tests.harness.chaos import clock, disk, flaws, hangs, intruders, kills, network, state
from tests.harness.chaos.arena import Arena
from tests.harness.chaos.faults import Result

Fault = Callable[[Arena], Result]


def suite(kill_count: int = kills.KILLS) -> dict[str, Fault]:
    """Every fault, by a short name; `kill_count` signals in all in those that kill at random."""
    return {
        **kills.faults(kill_count),
        "worker-hangs": hangs.worker,
        "resumed-worker-hangs": hangs.resumed_worker,
        "chief-hangs": hangs.chief,
        "network-resets": network.resets,
        "network-delays": network.delays,
        "network-late": network.drops,
        "network-cut": network.cuts,
        "network-forgets": network.forgets,
        "full-disk": disk.full,
        "full-disk-of-workers": disk.of_workers,
        "state": state.files,
        "clock": clock.jumps,
        "flaws": flaws.some,
        "no-model": flaws.every,
        "two-chiefs": intruders.two_chiefs,
        "taken-port": intruders.taken_port,
        "lost-run": intruders.lost_run,
    }


def attempt(name: str, fault: Fault, arena: Arena) -> Result:
    """Tries a fault; what the suite itself raises is a problem of that fault, and the others are tried all the same."""
    began = time.monotonic()
    try:
        result = fault(arena)
    except (RuntimeError, OSError, ValueError, KeyError, AssertionError, subprocess.SubprocessError) as error:
        result = Result(name, tries=1, problems=[f"{name}: {type(error).__name__}: {error}"])
    return dataclasses.replace(result, seconds=time.monotonic() - began)
