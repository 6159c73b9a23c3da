"""Logs that outlive their pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.kube import logs
from custom_components.distributed_tuner.search_dir import SearchDir
from tests.custom_components.distributed_tuner.cluster.kube.api_server import refuses, says, serving
from tests.custom_components.distributed_tuner.cluster.kube.things import job, pod

CHIEF, SPOT = job(None), job("spot", 1)


def test_a_members_pods_make_one_log_in_their_order(tmp_path: Path) -> None:
    pods = [pod(SPOT, 0, created=2), pod(SPOT, 0, "Failed", exit_code=1, created=1), pod(job("other"), 0)]
    with serving(says("first\n"), says("second\n")) as server:
        logs.keep(server.api(), "ml", [CHIEF, SPOT], pods, SearchDir(tmp_path), 60.0)
        asked = [path.split("/")[-2] for _, path, *_ in server.requests]
    assert asked == [pods[1]["metadata"]["name"], pods[0]["metadata"]["name"]]
    assert {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()} == {"spot-0.log": "first\nsecond\n"}


def test_a_log_that_is_not_to_be_had_says_so(tmp_path: Path) -> None:
    with serving(refuses(404, "NotFound", "the node is gone")) as server:
        logs.keep(server.api(), "ml", [CHIEF], [pod(CHIEF)], SearchDir(tmp_path), 60.0)
    assert "the node is gone" in (tmp_path / "logs" / "chief.log").read_text()


def test_nothing_is_waited_for_after_the_time_is_up(tmp_path: Path) -> None:
    with serving(says("x")) as server:
        logs.keep(server.api(), "ml", [CHIEF], [pod(CHIEF)], SearchDir(tmp_path), -1.0)
        assert server.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "never",
    [
        pod(SPOT, 0, "Pending", unschedulable="0/3 nodes are available"),
        pod(SPOT, 0, "Pending", waiting={"reason": "ImagePullBackOff"}),
        pod(SPOT, 0, "Failed", disruption="preempted", waiting={"reason": "ContainerCreating"}),
        pod(SPOT, 0, "Failed", reason="OutOfmemory"),
    ],
)
def test_a_pod_that_never_began_is_not_asked_for_its_log(tmp_path: Path, never: dict[str, Any]) -> None:
    with serving(says("")) as server:
        logs.keep(server.api(), "ml", [CHIEF, SPOT], [never], SearchDir(tmp_path), 60.0)
        assert server.requests == []
    assert list(tmp_path.iterdir()) == []


def test_a_pod_whose_container_ended_is_asked_whatever_its_phase(tmp_path: Path) -> None:
    again = {"name": "main", "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 1}}}
    pods = [pod(SPOT, 0, "Pending", exit_code=1), pod(CHIEF, containerStatuses=[again]), pod(SPOT, 0, "Unknown")]
    with serving(says("x\n")) as server:
        logs.keep(server.api(), "ml", [CHIEF, SPOT], pods, SearchDir(tmp_path), 60.0)
        assert len(server.requests) == 3
