"""Pods whose node does not end them."""

from __future__ import annotations

from typing import Any

from custom_components.distributed_tuner.cluster.kube.control.overdue import Overdue
from tests.custom_components.distributed_tuner.cluster.kube.things import job, pod

JOB = job()


def deleted(phase: str = "Running", grace: int | None = 25) -> dict[str, Any]:
    """A pod that is being deleted since long ago, by the API server's clock."""
    made = pod(JOB, phase=phase, deleted=True)
    if grace is not None:
        made["metadata"]["deletionGracePeriodSeconds"] = grace
    return made


def test_a_pod_is_overdue_when_its_grace_and_some_time_are_over_by_this_machines_clock() -> None:
    now = [1000.0]
    overdue = Overdue(lambda: now[0])
    stuck, default = deleted(), deleted(phase="Pending", grace=None)
    assert overdue.among([stuck, default]) == []
    now[0] = 1040.0
    assert overdue.among([stuck, default]) == []
    now[0] = 1041.0
    assert overdue.among([stuck, default]) == [stuck]
    now[0] = 1046.0
    assert overdue.among([stuck, default]) == [default]
    assert overdue.among([stuck, default]) == []


def test_a_grace_that_was_cut_counts() -> None:
    now = [0.0]
    overdue = Overdue(lambda: now[0])
    stuck = deleted()
    overdue.among([stuck])
    stuck["metadata"]["deletionGracePeriodSeconds"] = 0
    now[0] = 16.0
    assert overdue.among([stuck]) == [stuck]


def test_whoever_is_alive_or_has_ended_is_not_overdue() -> None:
    now = [0.0]
    overdue = Overdue(lambda: now[0])
    others = [pod(JOB), deleted("Failed"), deleted("Succeeded")]
    overdue.among(others)
    now[0] = 1000.0
    assert overdue.among(others) == []
