"""Ending child processes."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from tfx_pipeline.run import processes

# A child that will not listen, with a child of its own.
STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
signal.pause()
"""


def test_children_are_ended_even_those_that_do_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.5)
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert child.stdout is not None
    grandchild = psutil.Process(int(child.stdout.readline()))
    processes.end_children()
    child.stdout.close()
    assert not psutil.pid_exists(child.pid)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE
    assert not psutil.Process().children(recursive=True)


def test_without_children_nothing_happens() -> None:
    processes.end_children()
