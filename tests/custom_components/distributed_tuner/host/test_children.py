"""Processes that the user's code starts in a worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from tests.custom_components.distributed_tuner.chief_here import wait_for


def children(root: Path) -> list[int]:
    """Those that the trials have written down so far."""
    log = root / "children.log"
    return [int(line) for line in log.read_text().splitlines()] if log.exists() else []


def runs(pid: int) -> bool:
    """Whether a process is there and is more than an entry in the kernel's table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def daemons(root: Path, worker: int) -> list[int]:
    """Those among them that the worker has for its descendants."""
    return [child.pid for child in psutil.Process(worker).children(recursive=True) if child.pid in children(root)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["pool", "terminate"])
def test_the_end_of_a_child_is_not_the_workers(make_search: Callable[..., Any], how: str) -> None:
    made = make_search("forking", {"how": how})
    found = made.run(workers=1)
    assert [trial.message for trial in found.record.failed()] == []
    assert [[stay.outcome for stay in trial.stays] for trial in found.record.trials] == [[Outcome.COMPLETED]] * 3
    assert len(children(made.directory.root)) == (6 if how == "terminate" else 0)


@pytest.mark.timeout(300)
def test_the_end_of_an_oracles_child_is_not_the_chiefs(make_search: Callable[..., Any]) -> None:
    made = make_search("own_oracle", {"fault": "forks"})
    found = made.run(workers=1)
    assert found.record.count(TrialStatus.COMPLETED) == 4
    assert made.directory.log("chief").read_text().count("serving on") == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["leave", "detach"])
def test_no_child_outlives_its_worker(make_search: Callable[..., Any], how: str) -> None:
    made = make_search("forking", {"how": how})
    killed: list[int] = []

    def kill(running: Any, record: SearchRecord) -> None:
        if len(children(made.directory.root)) == 3 and not killed:
            killed.extend(children(made.directory.root))
            assert all(runs(pid) for pid in killed)
            os.kill(running.cluster.pid("worker-0"), signal.SIGKILL)
        if len(children(made.directory.root)) > 3:
            wait_for(lambda: not any(runs(pid) for pid in killed), "the end of the killed worker's children")

    found = made.run(workers=1, watch=kill)
    assert found.record.count(TrialStatus.COMPLETED) == 3
    left = children(made.directory.root)
    assert len(left) == 12 and len(killed) == 3
    wait_for(lambda: not any(runs(pid) for pid in left), "the end of every child")


@pytest.mark.timeout(300)
def test_a_worker_takes_its_own_daemons_with_it_and_no_others(make_search: Callable[..., Any]) -> None:
    made = make_search("forking", {"how": "detach"})
    killed: list[str] = []

    def kill(running: Any, record: SearchRecord) -> None:
        # One of them never ends, and the other worker has nothing to do any more.
        if killed or len(children(made.directory.root)) < 9 or record.count(TrialStatus.COMPLETED) < 2:
            return
        (stuck,) = (trial.stays[-1].worker for trial in record.trials if trial.status is TrialStatus.RUNNING)
        found = {name: daemons(made.directory.root, running.cluster.pid(name)) for name in ("worker-0", "worker-1")}
        assert [len(found.pop(stuck)), *map(len, found.values())] == [3, 6]
        ((other, left),) = found.items()
        os.kill(running.cluster.pid(stuck), signal.SIGKILL)
        wait_for(lambda: sum(map(runs, children(made.directory.root))) <= 6, "the end of the killed worker's daemons")
        assert all(runs(pid) for pid in left), f"{other} lost a process"
        killed.append(stuck)

    found = made.run(workers=2, watch=kill)
    assert killed and found.record.count(TrialStatus.COMPLETED) == 3
