"""What is made of pods and Jobs."""

from __future__ import annotations

from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import MemberState
from custom_components.distributed_tuner.cluster.kube.manifests import end_rules, manifests
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis
from custom_components.distributed_tuner.cluster.kube.observe.diagnosis import Health
from custom_components.distributed_tuner.cluster.kube.observe.members import view
from tests.custom_components.distributed_tuner.cluster.kube.things import job, pod

JOB = job()
PENDING, FAILED = MemberState.PENDING, MemberState.FAILED


@pytest.mark.parametrize(
    ("made", "state", "fault", "words"),
    [
        ({"phase": "Succeeded", "exit_code": 0}, MemberState.SUCCEEDED, False, "exit code 0"),
        ({"phase": "Failed", "exit_code": 70}, FAILED, True, "exit code 70: gave up for good"),
        ({"phase": "Failed", "exit_code": 127}, FAILED, True, "exit code 127"),
        ({"phase": "Failed", "exit_code": 1}, PENDING, True, "exit code 1: crashed"),
        ({"phase": "Failed", "exit_code": 75}, PENDING, True, "exit code 75"),
        ({"phase": "Failed", "exit_code": 143}, PENDING, False, "told to stop"),
        ({"phase": "Failed", "exit_code": 137, "why": "OOMKilled"}, PENDING, True, "more than 4Gi; raise `memory`"),
        ({"phase": "Failed", "exit_code": 137, "disruption": "node drained"}, PENDING, False, "node drained"),
        # Whoever was being evicted and gave up for good meanwhile gave up for good: the Job's rules say the same.
        ({"phase": "Failed", "exit_code": 70, "disruption": "node drained"}, FAILED, True, "exit code 70"),
        ({"phase": "Failed", "disruption": "deletion by GC"}, PENDING, False, "deletion by GC"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on disk"}, PENDING, True, "Evicted: low on disk"),
        ({"phase": "Running"}, MemberState.RUNNING, False, ""),
        ({"phase": "Running", "deleted": True}, PENDING, False, "is being stopped"),
    ],
)
def test_how_a_pod_ended(made: dict[str, Any], state: MemberState, fault: bool, words: str) -> None:
    seen = diagnosis.of_pod(pod(JOB, **made))
    assert (seen.state, seen.fault) == (state, fault)
    assert words in seen.reason


@pytest.mark.parametrize(
    ("made", "health", "words"),
    [
        ({}, Health.WAITING, "is being started"),
        ({"unschedulable": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}, Health.WAITING, "0/3 nodes"),
        ({"waiting": {"reason": "ContainerCreating"}}, Health.WAITING, "ContainerCreating"),
        ({"waiting": {"reason": "ErrImagePull", "message": "connection reset"}}, Health.WAITING, "connection reset"),
        ({"waiting": {"reason": "ErrImagePull", "message": "r/i:1: not found"}}, Health.HOPELESS, "r/i:1"),
        ({"waiting": {"reason": "ImagePullBackOff", "message": "x"}}, Health.DOUBTFUL, "the image cannot be pulled"),
        ({"waiting": {"reason": "ErrImagePull", "message": "x"}}, Health.DOUBTFUL, "the image cannot be pulled"),
        ({"waiting": {"reason": "InvalidImageName", "message": "x"}}, Health.HOPELESS, "name of the image"),
        (
            {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}},
            Health.HOPELESS,
            "s",
        ),
    ],
)
def test_what_a_pod_waits_for(made: dict[str, Any], health: Health, words: str) -> None:
    seen = diagnosis.of_pod(pod(JOB, phase="Pending", **made))
    assert (seen.state, seen.health) == (PENDING, health)
    assert words in seen.reason


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"exit_code": 137, "why": "OOMKilled"}, "raise `memory` of chief"),
        (
            {"exit_code": 128, "why": "StartError"},
            "exit code 128: its program cannot be started: no python. Look at the",
        ),
        ({"exit_code": 126, "why": "ContainerCannotRun"}, "exit code 126: its program cannot be started"),
    ],
)
def test_an_end_that_settings_are_at_fault_for_is_told_with_them(made: dict[str, Any], words: str) -> None:
    ended = pod(job(None), phase="Failed", **made)
    ended["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = "no python."
    seen = diagnosis.of_pod(ended)
    assert words in seen.reason and seen.incurable
    assert view([job(None)], [ended], "ml")[0].member.incurable
    ended["metadata"]["labels"] = {"distributed-tuner/group": "spot"}
    assert "of chief" not in diagnosis.of_pod(ended).reason


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        ('Usage of EmptyDir volume "tmp" exceeds the limit "2Gi". ', "one of `volumes`: /tmp holds 2Gi"),
        ('Usage of EmptyDir volume "home" exceeds the limit "2Gi". ', "one of `volumes`: /home/tuner holds 2Gi"),
        ('Usage of EmptyDir volume "cache" exceeds the limit "9Gi". ', "Raise sizeLimit of cache in `volumes`"),
        (
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
            "Raise `ephemeral_storage` of groups[spot]",
        ),
        (
            'Container main exceeded its local ephemeral storage limit "1Gi". ',
            "Raise `ephemeral_storage` of groups[spot]",
        ),
    ],
)
@pytest.mark.parametrize("code", [137, None])
def test_an_eviction_for_a_full_disk_is_not_told_as_a_want_of_memory(message: str, fix: str, code: int | None) -> None:
    made = pod(JOB, phase="Failed", exit_code=code, reason="Evicted", message=message)
    made["metadata"]["labels"] = {"distributed-tuner/group": "spot"}
    seen = diagnosis.of_pod(made)
    begin = "Evicted" if code is None else "exit code 137: Evicted"
    assert seen.reason.startswith(f"{begin}: {message.strip()} ") and fix in seen.reason
    assert "memory" not in seen.reason and (seen.state, seen.fault, seen.exit_code) == (PENDING, True, code)


def test_other_words_of_a_failed_pod_are_told() -> None:
    late = pod(JOB, phase="Failed", exit_code=137, reason="UnexpectedAdmissionError", message="no healthy devices")
    assert diagnosis.of_pod(late).reason == "exit code 137: UnexpectedAdmissionError: no healthy devices"
    drained = pod(JOB, phase="Failed", exit_code=143, disruption="drained", reason="Terminated", message="shutdown")
    assert diagnosis.of_pod(drained).reason.endswith("drained")


def test_other_ends_may_be_cured_by_another_start() -> None:
    for made in ({"exit_code": 137}, {"exit_code": 1}, {"exit_code": 137, "why": "OOMKilled", "deleted": True}):
        assert not diagnosis.of_pod(pod(JOB, phase="Failed", **made)).incurable


PULL = "failed to pull and unpack image: failed to resolve reference: "


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ImagePullBackOff", PULL + 'failed to do request: Head "https://r.io/v2/": dial tcp 1.2.3.4:443: i/o timeout'),
        ("ImagePullBackOff", PULL + "unexpected status from HEAD request to https://r.io/v2/: 429 Too Many Requests"),
        ("ImagePullBackOff", "toomanyrequests: You have reached your pull rate limit"),
        ("ErrImagePull", PULL + "unexpected status code [manifests 1]: 503 Service Unavailable"),
        ("ErrImagePull", "net/http: TLS handshake timeout"),
        ("CreateContainerError", "context deadline exceeded"),
        ("CreateContainerError", 'failed to reserve container name "main_x": name "main_x" is reserved for "0a"'),
        ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"),
    ],
)
def test_a_node_or_registry_that_is_busy_is_waited_for(reason: str, message: str) -> None:
    seen = diagnosis.of_pod(pod(JOB, phase="Pending", waiting={"reason": reason, "message": message}))
    assert (seen.state, seen.health) == (PENDING, Health.WAITING)
    assert message in seen.reason and "at the moment" in seen.reason and "Check the name" not in seen.reason


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ImagePullBackOff", PULL + "r.io/timeout:429: not found"),
        ("ErrImagePull", PULL + "dial tcp: lookup no.such on 10.0.0.10:53: no such host"),
        ("CreateContainerConfigError", "couldn't find key k in Secret ml/s"),
        ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
        ("RunContainerError", 'exec: "python": executable file not found in $PATH'),
        ("ErrImageNeverPull", "Container image is not present with pull policy of Never"),
        ("InvalidImageName", "x: timed out"),
    ],
)
def test_a_container_that_is_refused_is_hopeless(reason: str, message: str) -> None:
    seen = diagnosis.of_pod(pod(JOB, phase="Pending", waiting={"reason": reason, "message": message}))
    assert (seen.state, seen.health) == (PENDING, Health.HOPELESS)


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (
            "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 2 Insufficient memory. preemption: 0/2 nodes",
            "change memory or gpu of groups[spot]",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            "change node_selector, gpu.type or spot of groups[spot]",
        ),
        (
            "0/2 nodes are available: 1 Insufficient ephemeral-storage, 1 node(s) had untolerated taint {pool: x}.",
            "change ephemeral_storage or tolerations of groups[spot]",
        ),
        ('persistentvolumeclaim "runz" not found', "There is no PersistentVolumeClaim runz in the namespace"),
        ("pod has unbound immediate PersistentVolumeClaims.", "kubectl get pvc"),
    ],
)
def test_the_setting_that_keeps_a_pod_from_every_node_is_named(words: str, fix: str) -> None:
    made = pod(JOB, phase="Pending", unschedulable=words)
    made["metadata"]["labels"] = {"distributed-tuner/group": "spot"}
    seen = diagnosis.of_pod(made)
    assert seen.health is Health.WAITING and seen.reason.startswith(words.rstrip(".")) and fix in seen.reason
    made["metadata"]["labels"] = {}
    of_the_chief = diagnosis.of_pod(made).reason
    assert "groups[" not in of_the_chief and "gpu.type" not in of_the_chief


def test_words_of_the_scheduler_that_point_to_no_setting_stand_alone() -> None:
    assert diagnosis.of_pod(pod(JOB, phase="Pending", unschedulable="no nodes yet.")).reason == "no nodes yet."


def test_the_fix_is_told_with_the_fault() -> None:
    seen = diagnosis.of_pod(pod(JOB, phase="Pending", waiting={"reason": "ImagePullBackOff", "message": "denied"}))
    assert "image_pull_secrets" in seen.reason and "denied" in seen.reason


def test_what_a_job_says() -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "70"}]}
    assert (seen := diagnosis.of_job(job(status=failed))) and seen.state is FAILED and "PodFailurePolicy" in seen.reason
    complete = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert (seen := diagnosis.of_job(job(status=complete))) and seen.state is MemberState.SUCCEEDED
    queued = job(spec={"suspend": True}, labels={manifests.QUEUE_LABEL: "gpus"})
    assert (seen := diagnosis.of_job(queued)) and seen.health is Health.WAITING and "Kueue's queue gpus" in seen.reason
    assert diagnosis.of_job(job()) is None
    assert diagnosis.finished(job(status=failed)) and diagnosis.finished(job(status=complete))
    assert not diagnosis.finished(queued) and not diagnosis.finished(job())


def test_the_latest_pod_is_a_live_one_before_an_ended_one() -> None:
    live, ended = pod(JOB, created=1), pod(JOB, phase="Failed", exit_code=1, created=2)
    assert diagnosis.latest([ended, live]) is live
    assert diagnosis.latest([ended, pod(JOB, phase="Failed", exit_code=1, created=1)]) is ended
    assert diagnosis.latest([]) is None


def test_the_jobs_rules_and_the_diagnosis_agree_on_what_is_final() -> None:
    assert set(manifests.FATAL_CODES) == end_rules.FATAL_CODES
