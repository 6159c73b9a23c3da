"""The members of a search, from its Jobs and pods."""

from __future__ import annotations

from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import Loss, MemberState
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import QUEUE_LABEL
from custom_components.distributed_tuner.cluster.kube.observe.members import LossWatch, view
from tests.custom_components.distributed_tuner.cluster.kube.things import job, pod

CHIEF, SPOT, DEMAND = job(None), job("spot", 2), job("demand", 1)


def test_every_member_that_should_be_is_there_with_or_without_a_pod() -> None:
    pods = [pod(SPOT, 1), pod(CHIEF)]
    seen = view([SPOT, CHIEF, DEMAND], pods, "ml")
    assert [(s.member.name, s.member.state.value) for s in seen] == [
        ("chief", "running"),
        ("demand-0", "pending"),
        ("spot-0", "pending"),
        ("spot-1", "running"),
    ]
    assert seen[1].member.waiting and seen[1].pod is None
    assert (seen[1].about, seen[3].about) == (DEMAND["metadata"]["uid"], pods[0]["metadata"]["uid"])
    assert pods[0]["metadata"]["name"] in seen[3].member.log and "--namespace ml" in seen[3].member.log


def test_restarts_count_faults_only() -> None:
    pods = [
        pod(SPOT, 0, "Failed", exit_code=137, disruption="drained", created=1),
        pod(SPOT, 0, "Failed", exit_code=143, created=2),
        pod(SPOT, 0, "Failed", exit_code=139, created=3),
        pod(SPOT, 0, created=4),
    ]
    member = view([CHIEF, SPOT], pods, "ml")[1].member
    assert (member.restarts, member.exit_code, member.state) == (1, 139, MemberState.RUNNING)


def test_the_log_is_that_of_the_last_pod_that_ran() -> None:
    ended, starting = pod(SPOT, 0, "Failed", exit_code=1, created=1), pod(SPOT, 0, "Pending", created=2)
    seen = view([CHIEF, SPOT], [starting, ended], "ml")[1]
    assert seen.pod == starting["metadata"]["name"] and seen.begun == [ended["metadata"]["name"]]
    assert ended["metadata"]["name"] in seen.member.log
    assert (seen.member.exit_code, seen.member.waiting) == (1, True)


def test_a_worker_that_gave_up_for_good_has_failed_and_its_group_goes_on() -> None:
    pods = [pod(SPOT, 0, "Failed", exit_code=70), pod(SPOT, 1)]
    first, second = (seen.member for seen in view([CHIEF, SPOT], pods, "ml")[1:])
    assert (first.state, first.exit_code, first.waiting) == (MemberState.FAILED, 70, False)
    assert second.state is MemberState.RUNNING


def test_a_member_whose_job_has_failed_is_not_waited_for() -> None:
    over = job(None, status={"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]})
    (chief,) = view([over], [pod(over, phase="Failed", exit_code=137)], "ml")
    assert chief.member.state is MemberState.FAILED
    assert "exit code 137" in chief.member.reason and "DeadlineExceeded" in chief.member.reason


def test_a_group_that_was_scaled_to_none_has_no_members_and_a_queued_one_has() -> None:
    none = job("none", 1, spec={"suspend": True})
    queued = job("queued", 2, spec={"suspend": True}, labels={QUEUE_LABEL: "q"})
    assert [s.member.name for s in view([CHIEF, none, queued], [], "ml")] == ["chief", "queued-0", "queued-1"]


def test_a_worker_that_ended_or_vanished_is_lost_once() -> None:
    jobs = [CHIEF, SPOT]
    losses = LossWatch()
    dying, vanishing, chief = pod(SPOT, 0), pod(SPOT, 1), pod(CHIEF)
    assert losses.since_last(jobs, [dying, vanishing, chief]) == []
    ended = {**dying, "status": pod(SPOT, 0, "Failed", exit_code=139)["status"]}
    lost = losses.since_last(jobs, [ended])
    assert lost == [
        Loss("spot-0", "exit code 139: crashed in native code (SIGSEGV)", dying["metadata"]["name"]),
        Loss("spot-1", "its pod vanished; its node, probably, with it", vanishing["metadata"]["name"], fault=False),
    ]
    assert losses.since_last(jobs, [ended]) == []


def test_a_worker_that_is_done_is_no_loss() -> None:
    losses, done = LossWatch(), pod(SPOT, 0)
    losses.since_last([SPOT], [done])
    assert losses.since_last([SPOT], [{**done, "status": {"phase": "Succeeded"}}]) == []


def test_what_had_ended_by_a_fault_before_the_first_look_is_no_news() -> None:
    assert LossWatch().since_last([SPOT], [pod(SPOT, 0, "Failed", exit_code=1), pod(SPOT, 1, "Succeeded")]) == []


def test_a_pod_that_was_taken_away_is_nobodys_fault_also_while_no_step_looked() -> None:
    taken = pod(SPOT, 0, "Failed", exit_code=137, disruption="the node is gone")
    losses = LossWatch()
    for look in (LossWatch(), losses):
        if look is losses:
            look.since_last([SPOT], [{**taken, "status": {"phase": "Running"}}])
        (loss,) = look.since_last([SPOT], [taken])
        assert (loss.name, loss.process, loss.fault) == ("spot-0", taken["metadata"]["name"], False)
        assert "the node is gone" in loss.reason
        assert look.since_last([SPOT], [taken]) == []


@pytest.mark.parametrize(
    ("ended", "fault"), [({}, True), ({"deleted": True}, False), ({"disruption": "drained"}, False)]
)
def test_only_an_end_of_its_own_is_held_against_the_trial(ended: dict[str, Any], fault: bool) -> None:
    losses, dead = LossWatch(), pod(SPOT, 0, "Failed", exit_code=137, **ended)
    losses.since_last([SPOT], [{**dead, "status": {"phase": "Running"}}])
    assert [loss.fault for loss in losses.since_last([SPOT], [dead])] == [fault]


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize("taken", [True, False])
def test_a_worker_that_was_killed_for_its_silence_is_at_fault_unless_its_machine_was_gone(
    gone: bool, taken: bool
) -> None:
    losses = LossWatch()
    dead = pod(SPOT, 0, "Failed", exit_code=137, deleted=True, disruption="no node" if taken else None)
    silenced = {dead["metadata"]["name"]}
    running = {**dead, "status": {"phase": "Running"}}
    assert losses.since_last([SPOT], [running]) == losses.since_last([SPOT], [running], silenced=silenced) == []
    there, departed = ([], [dead]) if gone else ([dead], [])
    (loss,) = losses.since_last([SPOT], there, departed, silenced)
    assert (loss.name, loss.process, loss.fault) == ("spot-0", dead["metadata"]["name"], not taken)
    assert losses.since_last([SPOT], [], [dead], silenced) == []


def test_a_pod_that_went_between_two_looks_is_told_by_its_last_state_once() -> None:
    losses, alive = LossWatch(), pod(SPOT, 0)
    last = {**alive, "status": pod(SPOT, 0, "Failed", exit_code=139)["status"]}
    losses.since_last([SPOT], [alive])
    # It is in both where it goes while somebody looks.
    (loss,) = losses.since_last([SPOT], [alive], [last])
    assert loss.fault and "exit code 139" in loss.reason
    assert losses.since_last([SPOT], []) == []
    other = pod(SPOT, 1)
    losses.since_last([SPOT], [other])
    (loss,) = losses.since_last([SPOT], [], [other])
    assert (loss.fault, "vanished" in loss.reason) == (False, True), "nobody knows how it ended"
