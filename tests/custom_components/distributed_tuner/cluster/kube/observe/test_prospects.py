"""When waiting for chief and workers is in vain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import ClusterError, Member, MemberState, Snapshot
from custom_components.distributed_tuner.cluster.kube.observe.members import Seen, view
from custom_components.distributed_tuner.cluster.kube.observe.prospects import Prospects
from tests.custom_components.distributed_tuner.cluster.kube.things import job, pod

CHIEF, SPOT, DEMAND = job(None), job("spot", 2), job("demand", 1)
NO_IMAGE: dict[str, Any] = {"phase": "Pending", "waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
DOUBTFUL: dict[str, Any] = {"phase": "Pending", "waiting": {"reason": "ErrImagePull", "message": "for no reason"}}
BUSY: dict[str, Any] = {"phase": "Pending", "waiting": {"reason": "ImagePullBackOff", "message": "i/o timeout"}}
NO_NODE: dict[str, Any] = {"phase": "Pending", "unschedulable": "0/3 nodes are available"}
DONE: dict[str, Any] = {"phase": "Succeeded", "exit_code": 0}
FATAL: dict[str, Any] = {"phase": "Failed", "exit_code": 70}


def workers(spot: dict[str, Any], other: dict[str, Any], demand: dict[str, Any] | None = None) -> Sequence[Seen]:
    """Two of spot and, where it is there, one on demand."""
    pods = [pod(SPOT, 0, **spot), pod(SPOT, 1, **other)]
    if demand is None:
        return view([SPOT], pods, "ml")
    return view([SPOT, DEMAND], [*pods, pod(DEMAND, 0, **demand)], "ml")


@pytest.mark.parametrize("demand", [NO_NODE, {}])
def test_a_group_that_cannot_start_leaves_the_others_their_time(demand: dict[str, Any]) -> None:
    prospects = Prospects(900.0)
    for _ in range(3):
        prospects.check("every worker", workers(NO_IMAGE, NO_IMAGE, demand))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (workers(NO_IMAGE, NO_IMAGE), "^spot-0 and 1 more cannot start: the image"),
        (workers(FATAL, NO_IMAGE), "^spot-0 and 1 more cannot start: the image"),
        (workers(NO_IMAGE, NO_IMAGE, NO_IMAGE), "^demand-0 cannot start: the image.*; spot-0 and 1 more cannot start"),
        (workers(NO_IMAGE, NO_IMAGE, FATAL), "^spot-0 and 1 more cannot start"),
        (view([CHIEF], [pod(CHIEF, **NO_IMAGE)], "ml"), "^the chief cannot start: the image"),
    ],
)
def test_none_that_can_start_is_an_end(members: Sequence[Seen], words: str) -> None:
    with pytest.raises(ClusterError, match=words):
        Prospects(900.0).check("them", members)


def test_the_last_group_that_could_start_decides() -> None:
    prospects = Prospects(900.0)
    prospects.check("every worker", workers(NO_IMAGE, NO_IMAGE, {}))
    prospects.check("every worker", workers(NO_IMAGE, NO_IMAGE, NO_IMAGE))  # what ran once may run again
    with pytest.raises(ClusterError, match="spot-0 and 1 more cannot start"):
        prospects.check("every worker", workers(NO_IMAGE, NO_IMAGE, FATAL))


def test_a_worker_that_succeeded_says_that_the_search_is_over() -> None:
    Prospects(900.0).check("every worker", workers(NO_IMAGE, NO_IMAGE, DONE))


def test_a_group_that_only_some_members_of_cannot_start_is_waited_for() -> None:
    Prospects(900.0).check("every worker", workers(NO_IMAGE, NO_NODE))


def test_what_fails_for_an_unknown_reason_ends_the_search_when_it_lasts_for_minutes() -> None:
    now = [0.0]
    prospects = Prospects(900.0, lambda: now[0])
    prospects.check("every worker", workers(DOUBTFUL, DOUBTFUL))
    now[0] = 290.0
    prospects.check("every worker", workers(DOUBTFUL, BUSY))
    now[0] = 310.0
    prospects.check("every worker", workers(DOUBTFUL, DOUBTFUL))  # the second one has begun anew
    now[0] = 600.0
    prospects.check("every worker", workers(DOUBTFUL, DOUBTFUL))
    now[0] = 611.0
    with pytest.raises(ClusterError, match=r"^spot-0 and 1 more cannot start: the image cannot be pulled.*no reason"):
        prospects.check("every worker", workers(DOUBTFUL, NO_IMAGE))


def test_a_busy_registry_is_waited_for_like_a_machine() -> None:
    now = [0.0]
    prospects = Prospects(900.0, lambda: now[0])
    for now[0] in (0.0, 450.0, 900.0):
        prospects.check("every worker", workers(BUSY, BUSY))
    now[0] = 901.0
    with pytest.raises(ClusterError, match=r"every worker has been waiting for 900 s.*i/o timeout"):
        prospects.check("every worker", workers(BUSY, BUSY))


def test_waiting_ends_with_the_reasons_of_all_after_the_time_that_was_set() -> None:
    now = [0.0]
    prospects = Prospects(900.0, lambda: now[0])
    prospects.check("every worker", workers(NO_IMAGE, NO_IMAGE, NO_NODE))
    now[0] = 800.0
    prospects.check("every worker", workers(NO_IMAGE, NO_IMAGE, {}))
    now[0] = 1000.0
    prospects.check("every worker", workers(NO_IMAGE, NO_IMAGE, NO_NODE))
    now[0] = 1901.0
    with pytest.raises(ClusterError, match=r"every worker has been waiting for 900 s.*0/3 nodes.*; the image"):
        prospects.check("every worker", workers(NO_IMAGE, NO_IMAGE, NO_NODE))


def test_the_progress_line_has_each_reason_once() -> None:
    def waiting(name: str, reason: str) -> Member:
        return Member(name, MemberState.PENDING, reason=reason, waiting=True)

    chief = Member("chief", MemberState.RUNNING)
    assert Snapshot(chief, [Member("w-0", MemberState.RUNNING)]).waiting() == ""
    some = [
        waiting("demand-0", "a node is added"),
        waiting("spot-0", "no such pool"),
        waiting("spot-1", "no such pool"),
    ]
    assert Snapshot(chief, some).waiting() == (
        "waiting for a machine: demand-0: a node is added; 2 (spot-0, …): no such pool"
    )
    many = [waiting(f"w-{index}", f"reason {index}") for index in range(5)]
    assert Snapshot(chief, many).waiting().endswith("w-2: reason 2; and 2 more reasons")
