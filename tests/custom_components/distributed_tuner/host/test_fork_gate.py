"""Forks and calls keep out of each other's way. Each test forks in a process of its own, which its hooks stay in."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.repository import ROOT

SCRIPT = """
import os, sys, threading
from custom_components.distributed_tuner.host.fork_gate import ForkGate

patience, held = float(sys.argv[1]), float(sys.argv[2])
gate = ForkGate(patience)
gate.watch()
begun, ended = threading.Event(), threading.Event()

def call():
    with gate.call():
        begun.set()
        ended.wait(held)
        print("the call ended", flush=True)

thread = threading.Thread(target=call)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    with gate.call():
        os._exit(7)
print("forked", flush=True)
ended.set()
thread.join()
with gate.call():
    print("the child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def lines(patience: float, held: float) -> list[str]:
    """What the script says when its call takes `held` seconds, or until the fork is over."""
    command = [sys.executable, "-c", SCRIPT, str(patience), str(held)]
    root = ROOT
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("patience", "held", "order"),
    [(30.0, 0.3, ["the call ended", "forked"]), (0.3, 30.0, ["forked", "the call ended"])],
)
def test_a_fork_waits_for_a_call_as_long_as_its_patience_lasts(patience: float, held: float, order: list[str]) -> None:
    assert lines(patience, held) == [*order, "the child ended with 7"]
