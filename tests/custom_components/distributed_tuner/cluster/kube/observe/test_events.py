"""What only events tell."""

from __future__ import annotations

from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import MemberState
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis, events
from custom_components.distributed_tuner.cluster.kube.observe.diagnosis import Health
from tests.custom_components.distributed_tuner.cluster.kube.things import event, job, pod

JOB = job()
PENDING = MemberState.PENDING


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ('MountVolume.SetUp failed for volume "c" : configmap "nope" not found', "There is no ConfigMap nope"),
        ('MountVolume.SetUp failed for volume "s" : secret "gone" not found', "There is no Secret gone"),
    ],
)
def test_what_a_volume_lacks_is_named(words: str, fix: str) -> None:
    seen = events.of([event("FailedMount", words)])
    assert seen is not None and words in seen.reason and fix in seen.reason


@pytest.mark.parametrize(
    ("told", "health", "words"),
    [
        (
            [event("NotTriggerScaleUp", "pod didn't trigger scale-up: 2 node(s) didn't match Pod's node affinity")],
            Health.HOPELESS,
            "no node pool has a machine like this",
        ),
        (
            [event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")],
            Health.WAITING,
            "max node group size",
        ),
        ([event("TriggeredScaleUp", "pod triggered scale-up: [{group 0->1}]")], Health.WAITING, "adding a node"),
        (
            [event("NotTriggerScaleUp", "no", 1), event("TriggeredScaleUp", "0->1", 2)],
            Health.WAITING,
            "adding a node",
        ),
        (
            [event("FailedCreate", 'pods "x" is forbidden: exceeded quota: gpus, requested: pods=1, used: pods=2')],
            Health.HOPELESS,
            "ResourceQuota",
        ),
        (
            [event("FailedCreate", 'pods "x" is forbidden: violates PodSecurity "restricted:latest": x')],
            Health.HOPELESS,
            "Pod Security",
        ),
        (
            [
                event(
                    "FailedCreate",
                    'pods "x-" is forbidden: error looking up service account ml/s: serviceaccount "s" not found',
                )
            ],
            Health.HOPELESS,
            "no service account s",
        ),
        ([event("FailedMount", 'persistentvolumeclaim "runs" not found')], Health.WAITING, "volume is not there yet"),
    ],
)
def test_what_only_events_tell(told: list[dict[str, Any]], health: Health, words: str) -> None:
    seen = events.of(told)
    assert seen is not None and seen.health is health and words in seen.reason


NO_SCALE_UP = "pod didn't trigger scale-up: "
NO_POOL = NO_SCALE_UP + "2 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {a/b: c}"
NO_NODE = (
    "0/3 nodes are available: 1 node(s) had untolerated taint {pool: x}, 2 node(s) didn't match Pod's node affinity/"
)
NO_NODE += "selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."


@pytest.mark.parametrize(
    "message",
    [
        "1 max cluster cpu, memory limit reached",
        "1 max node group size reached, 3 node(s) didn't match Pod's node affinity/selector",
        "1 not ready for scale-up",
        "1 in backoff after failed scale-up",
        "1 at least one node can be vertically scaled",
        "pod has unbound immediate PersistentVolumeClaims",
        '1 persistentvolumeclaim "runs" not found',
        "1 node(s) had volume node affinity conflict",
        "1 node(s) didn't match PersistentVolume's node affinity",
        "1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }",
        "",
    ],
)
def test_an_autoscaler_that_adds_no_node_for_now_is_waited_for(message: str) -> None:
    seen = events.of([event("NotTriggerScaleUp", NO_SCALE_UP + message)], NO_NODE)
    assert seen is not None and (seen.state, seen.health) == (PENDING, Health.WAITING)
    assert message in seen.reason


@pytest.mark.parametrize(
    ("scheduler", "health"),
    [
        (NO_NODE, Health.HOPELESS),
        ("no nodes available to schedule pods", Health.HOPELESS),
        # A pool that does not grow has such machines, and they are busy, or not ready.
        (
            NO_NODE.replace("0/3", "0/4")
            .replace(": 1 ", ": 1 Insufficient nvidia.com/gpu, 1 ")
            .replace(": 3 ", ": 1 No preemption victims found for incoming pod, 3 "),
            Health.WAITING,
        ),
        ("0/1 nodes are available: 1 node(s) were unschedulable.", Health.WAITING),
        (
            "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }.",
            Health.WAITING,
        ),
        ("0/1 nodes are available: 1 Too many pods.", Health.WAITING),
    ],
)
def test_a_pool_that_does_not_grow_may_have_the_machine(scheduler: str, health: Health) -> None:
    verdict = event("NotTriggerScaleUp", NO_POOL)
    made = diagnosis.of_pod(pod(JOB, phase="Pending", unschedulable=scheduler))
    for told, waits_for in (
        ([verdict], made.reason),
        ([verdict, event("FailedScheduling", scheduler)], made.reason),
        ([verdict, event("FailedScheduling", scheduler)], ""),
    ):
        seen = events.of(told, waits_for)
        assert seen is not None and seen.health is health


def test_the_autoscalers_words_are_over_when_a_node_was_found() -> None:
    assert events.of([event("NotTriggerScaleUp", NO_POOL, 1), event("Scheduled", "on x", 2)]) is None


CREATING = "Error creating: "
WEBHOOK = CREATING + 'Internal error occurred: failed calling webhook "v.k.svc": failed to call: Post "https://k": '
CONFLICT = (
    'Operation cannot be fulfilled on resourcequotas "gke": the object has been modified; please apply your '
    "changes to the latest version and try again"
)


@pytest.mark.parametrize(
    "message",
    [
        WEBHOOK + "dial tcp 10.0.0.1:443: connect: connection refused",
        WEBHOOK + 'service "k" not found',
        WEBHOOK + "context deadline exceeded",
        CREATING + CONFLICT,
        CREATING + "etcdserver: request timed out",
        CREATING + "Timeout: request did not complete within requested timeout - context deadline exceeded",
        CREATING + 'pods "x" is forbidden: status unknown for quota: gpus, resources: pods',
        CREATING + 'pods "x" is forbidden: not yet ready to handle request',
        CREATING + 'pods "x" is forbidden: error looking up service account ml/s: Get "https://k": dial tcp: refused',
        CREATING + 'pods is forbidden: User "system:serviceaccount:kube-system:job-controller" cannot create resource '
        '"pods" in API group "" in the namespace "ml"',
        CREATING + "something that nobody has heard of",
    ],
)
def test_trouble_with_making_a_pod_that_may_pass_is_waited_for(message: str) -> None:
    seen = events.of([event("FailedCreate", message)])
    assert seen is not None and (seen.state, seen.health) == (PENDING, Health.WAITING)
    assert message in seen.reason and "tried again" in seen.reason


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('admission webhook "v.k.svc" denied the request: a timeout must be set', "an admission webhook refuses it"),
        ("pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "policy"),
        ('pods "x" is forbidden: no PriorityClass with name none was found', "correct priority_class"),
        ('pods "x" is forbidden: failed quota: q: must specify limits.cpu', "ResourceQuota"),
        ('pods "x" is forbidden: maximum memory usage per Container is 1Gi', "LimitRange"),
        ('Pod "x" is invalid: spec.containers[0].image: Required value', "Compare the settings"),
        ('namespaces "ml" not found', "there is no namespace ml"),
    ],
)
def test_a_pod_that_a_rule_refuses_is_hopeless(message: str, words: str) -> None:
    seen = events.of([event("FailedCreate", CREATING + message)])
    assert seen is not None and seen.health is Health.HOPELESS and words in seen.reason
    assert "refused: 0" not in seen.reason


def test_a_refusal_that_is_over_is_not_told() -> None:
    assert events.of([event("FailedCreate", "exceeded quota", 1), event("SuccessfulCreate", "x", 2)]) is None
    assert events.of([event("Scheduled", "x")]) is None
    assert events.of([]) is None


NO_ROOM = "0/3 nodes are available: 2 Insufficient nvidia.com/gpu, 1 node(s) didn't match Pod's node affinity/selector."


@pytest.mark.parametrize(
    ("preemption", "health"),
    [
        (" preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.", Health.HOPELESS),
        (
            " preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not "
            "helpful for scheduling.",
            Health.WAITING,
        ),
        (" preemption: not eligible due to preemptionPolicy=Never.", Health.WAITING),
        ("", Health.WAITING),
    ],
    ids=["too large for each node", "a node may become free", "not tried", "not said"],
)
def test_more_than_any_node_or_pool_has_is_hopeless_when_both_say_so(preemption: str, health: Health) -> None:
    seen = events.of([event("NotTriggerScaleUp", NO_SCALE_UP + "2 Insufficient nvidia.com/gpu")], NO_ROOM + preemption)
    assert seen is not None and seen.health is health


@pytest.mark.parametrize(
    ("own", "health", "words"),
    [
        (["mine"], Health.DOUBTFUL, "the search's own Secret mine is gone: somebody deleted it. Run the same run id"),
        ([], Health.WAITING, "There is no Secret mine in the namespace: make it"),
    ],
)
def test_the_searchs_own_secret_is_not_the_users_to_make(own: list[str], health: Health, words: str) -> None:
    seen = events.of([event("FailedMount", 'MountVolume.SetUp failed: secret "mine" not found')], own=own)
    assert seen is not None and seen.health is health and words in seen.reason
