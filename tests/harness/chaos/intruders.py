"""Others who lay hands on a search: a second chief, a second run, a stranger on the chief's port; and lost runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from custom_components.distributed_tuner.cluster.local.cluster import CHIEF
from custom_components.distributed_tuner.errors import ExitCode, SearchLocked
from tests.harness.chaos.arena import Arena
from tests.harness.chaos.faults import Result, together
from tests.harness.chaos.running import Plan, Running
from tests.repository import ROOT

_DEADLINE = 240.0
_SECOND_CHIEF = """
import sys
from pathlib import Path
from custom_components.distributed_tuner.process import main as process
process.set_up_logging()
sys.exit(process.run_chief(Path(sys.argv[1]), "token", go_on=True, lock_seconds=1.0))
"""


def two_chiefs(arena: Arena) -> Result:
    """A second chief and a second run for a search that is served: both refuse, and touch nothing."""
    fault = "two chiefs, two runs"
    # Long enough for both to be refused meanwhile.
    plan = Plan(trials=12, epochs=3, workers=2)
    expected = arena.expected(plan)
    running = arena.start(fault, plan)
    running.wait_until_busy()
    before = running.directory.chief.read_bytes()
    problems = []
    rival = arena.start(fault, plan, root=running.root)
    rival.join(60.0)
    if not isinstance(rival.error, SearchLocked):
        problems.append(f"the second run was not refused: {rival.error or rival.found}")
    command = [sys.executable, "-c", _SECOND_CHIEF, str(running.root)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60.0)
    if second.returncode != ExitCode.FATAL or "another chief serves the search" not in second.stderr:
        problems.append(f"the second chief ended with {second.returncode}: {second.stderr[-2000:]}")
    if running.over:
        problems.append("the search ended before both were refused")
    if running.directory.chief.read_bytes() != before or running.directory.error.exists():
        problems.append("a second chief left its traces")
    result = arena.end(fault, running, expected, deadline=_DEADLINE, tries=2).but(problems)
    return dataclasses.replace(result, recovered=0, clear_errors=result.recovered)


def taken_port(arena: Arena) -> Result:
    """The chief dies, and before it is back somebody else listens where it did."""
    fault = "the chief's port is taken"
    plan = Plan(trials=6, epochs=3)
    expected = arena.expected(plan)
    running = arena.start(fault, plan)
    running.wait_until_busy()
    address = running.cluster.chief_address() or ""
    running.hit(CHIEF, signal.SIGKILL)
    with _listening(running, int(address.rsplit(":", 1)[1])):
        running.wait(lambda: running.cluster.chief_address() != address, 60.0)
        moved = running.cluster.chief_address() != address
        result = arena.end(fault, running, expected, deadline=_DEADLINE, kills=1)
    return result.but([] if moved else ["nobody took the port in time, the fault was not tried"])


@contextlib.contextmanager
def _listening(running: Running, port: int) -> Iterator[None]:
    """Somebody who takes connections and answers nothing."""
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def bind() -> bool:
            try:
                stranger.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True

        running.wait(bind, 10.0)
        stranger.listen()
        yield


def lost_run(arena: Arena) -> Result:
    """The run is killed outright, or the process that starts chief and workers is; the same run starts at once."""
    plan = Plan(trials=6, epochs=3)
    expected = arena.expected(plan)
    parts = []
    for fault, starter in (("kill -9 of the run", False), ("kill -9 of the fork server", True)):
        root = arena.folder(fault)
        with _lone_run(root, plan) as run:
            problems = _kill_when_busy(root, run, starter=starter)
        again = arena.start(fault, plan, root=root)
        parts.append(arena.end(fault, again, expected, deadline=_DEADLINE, kills=1).but(problems))
    return together("kill -9 of the run or its fork server", parts)


@contextlib.contextmanager
def _lone_run(root: Path, plan: Plan) -> Iterator[subprocess.Popen[str]]:
    """The search as a process of its own, with a fork server of its own."""
    values = {"trials": plan.trials, "epochs": plan.epochs}
    command = [sys.executable, "-m", "tests.harness.chaos.lone_run", str(root), json.dumps(values)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        try:
            yield run
        finally:
            run.kill()


def _kill_when_busy(root: Path, run: subprocess.Popen[str], *, starter: bool) -> list[str]:
    assert run.stdout is not None
    if run.stdout.readline() != "busy\n":
        return [f"{root.name}: the run ended with {run.wait(60.0)} before it was killed"]
    if not starter:
        # A chief that hangs outlives its run, and holds the search's lock, until it is killed in its turn.
        os.kill(json.loads((root / "chief.json").read_text())["pid"], signal.SIGSTOP)
        run.kill()
        run.wait(60.0)
        return []
    (server,) = psutil.Process(run.pid).children()
    os.kill(server.pid, signal.SIGKILL)
    said, _ = run.communicate(timeout=60.0)
    clear = said.startswith("ClusterError: the process that starts chief and workers ended")
    return [] if clear else [f"{root.name}: the run said {said!r} when its fork server was killed"]
