"""Logs that outlive their pods."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.kube.control import logs, objects
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner.cluster.kube.api_server import Answer, Handler, refuses, says, serving
from tests.custom_components.distributed_tuner.cluster.kube.things import job, pod

CHIEF, SPOT = job(None), job("spot", 1)


def test_a_members_pods_make_one_log_in_their_order(tmp_path: Path) -> None:
    pods = [pod(SPOT, 0, created=2), pod(SPOT, 0, "Failed", exit_code=1, created=1), pod(job("other"), 0)]
    with serving(says("first\n"), says("second\n")) as server:
        logs.keep(server.api(), "ml", [CHIEF, SPOT], pods, SearchDir(tmp_path), 60.0)
        asked = [path.split("/")[-2] for _, path, *_ in server.requests]
    assert asked == [pods[1]["metadata"]["name"], pods[0]["metadata"]["name"]]
    assert {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()} == {"spot-0.log": "first\nsecond\n"}


def kubelet(log: str) -> Answer:
    """Answers as a kubelet does: so many lines from the end, and so many bytes of them from their beginning."""

    def answer(handler: Handler) -> None:
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(handler.path).query))
        lines = log.splitlines(keepends=True)[-int(query["tailLines"]) :]
        says("".join(lines)[: int(query["limitBytes"])])(handler)

    return answer


def test_the_end_of_a_log_is_read_however_long_its_lines_are(tmp_path: Path) -> None:
    long = "".join(f"{number} {'x' * 20_000}\n" for number in range(1_000)) + "the last words\n"
    with serving(kubelet(long)) as server:
        text = objects.read_log(server.api(), "ml", "spot-0", 1_000)
    assert text.endswith("x\nthe last words\n") and text in long and len(text) > 100_000
    with serving(kubelet("x" * 3_000_000)) as server:
        text = objects.read_log(server.api(), "ml", "spot-0", 1_000)
    assert text.endswith("[the rest of this line is left out]\n") and len(text) < 2_000_000


def test_of_a_member_with_many_pods_the_first_and_the_last_logs_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_MEMBER_CHARACTERS", 25)
    pods = [pod(SPOT, 0, created=number) for number in range(6)]
    with serving(*(says(f"pod {number} says\n") for number in range(6))) as server:
        logs.keep(server.api(), "ml", [CHIEF, SPOT], pods, SearchDir(tmp_path), 60.0)
    text = (tmp_path / "logs" / "spot-0.log").read_text()
    assert text == "pod 0 says\n(the logs of pods between these are left out)\npod 5 says\n"


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
