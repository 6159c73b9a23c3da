"""What a process leaves behind of its descendants, in a process of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.custom_components.distributed_tuner.user_tuners import DAEMON
from tests.repository import ROOT

# A child that is kept apart, daemons, and how the caller finds them. A daemon whose parent, which ignores SIGCHLD, ends
# after it leaves no zombie. Nobody but the program writes to its output, so that it ends with the program.
_PROGRAM = """
import os, subprocess, sys, time
import psutil
from custom_components.distributed_tuner.host import descendants
descendants.adopt()
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
kept = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], **quiet)
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]], check=True, **quiet)
while len(notes := open(sys.argv[2]).read().split()) < 2:
    time.sleep(0.02)
daemons = [psutil.Process(int(pid)) for pid in notes]
descendants.kill(but=[kept.pid])
def lives(process):
    try:
        return process.status() != "zombie"
    except psutil.NoSuchProcess:
        return False
ends = time.monotonic() + 60
while any(map(lives, daemons)) and time.monotonic() < ends:
    time.sleep(0.02)
print("daemons left:", sum(map(lives, daemons)), "kept:", kept.poll() is None)
print("all ended:", descendants.end(60.0), "left:", len(psutil.Process().children()))
"""


def test_daemons_are_found_and_killed_but_for_those_that_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "children.log"
    log.touch()
    command = [sys.executable, "-c", _PROGRAM, DAEMON, str(log)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout
    assert output.splitlines() == ["daemons left: 0 kept: True", "all ended: True left: 0"]
