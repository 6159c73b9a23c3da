"""Chief and workers on this machine: what every place owes a search, and when a process is started anew."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from custom_components.distributed_tuner.cluster.base import Cluster
from custom_components.distributed_tuner.cluster.local.cluster import LocalCluster, next_pause
from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner.cluster.contract import ClusterContract, MakePlace, Place


class ThisMachine(Place):
    """A search of processes, forked by the tests' own server."""

    def __init__(
        self, root: Path, server: ForkServerHandle, function: str, config: dict[str, Any], options: SearchOptions
    ) -> None:
        self.directory = SearchDir(root)
        self.directory.create()
        properties = {"tuner_fn": f"user_tuners.{function}", "custom_config": json.dumps(config)}
        self.spec = SearchSpec(function, "", properties, options)
        self._server = server
        self._before = set(psutil.Process().children(recursive=True))

    def make_cluster(self) -> LocalCluster:
        return LocalCluster(self.directory, "a-token", server=self._server)

    def process(self, cluster: Cluster, member: str) -> str | None:
        assert isinstance(cluster, LocalCluster)
        pid = cluster.pid(member)
        return None if pid is None else str(pid)

    def kill(self, cluster: Cluster, member: str) -> None:
        os.kill(int(self.process(cluster, member) or 0), signal.SIGKILL)

    def left(self) -> list[str]:
        processes = set(psutil.Process().children(recursive=True)) - self._before
        return [*map(str, processes), *(["the token"] if self.directory.token.exists() else [])]


@pytest.mark.timeout(180)
class TestLocalCluster(ClusterContract):
    @pytest.fixture
    def make_place(self, tmp_path: Path, fork_server: ForkServerHandle) -> MakePlace:
        return lambda *what: ThisMachine(tmp_path / "search", fork_server, *what)


def pauses(lived_seconds: float, deaths: int) -> list[float]:
    """The pauses before the starts of a process that dies again and again after so long."""
    found = [0.0]
    for _ in range(deaths):
        found.append(next_pause(lived_seconds, found[-1]))
    return found[1:]


def test_a_process_that_dies_at_its_start_is_started_ever_more_seldom() -> None:
    assert pauses(0.2, 9) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_process_that_is_killed_in_its_work_is_started_at_once_however_often() -> None:
    assert pauses(5.0, 30) == [0.1] * 30


def test_one_kill_in_its_work_makes_up_for_earlier_deaths_at_the_start() -> None:
    assert next_pause(100.5, pauses(0.2, 9)[-1]) == 0.1
    assert next_pause(99.5, pauses(0.2, 9)[-1]) == 10.0
