"""What only real containers show: limits, probes, and a pull that fails."""

from __future__ import annotations

import pytest

from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.objects import WAIT, Namespace, conditions
from tests.harness.cluster.kubernetes.waiting import until

pytestmark = pytest.mark.containers

GREEDY = """
hoard = []
while True:
    hoard.append(bytearray(1 << 20))
"""


@pytest.fixture
def placement(on_real_node: Object) -> Object:
    return on_real_node


def container(pod: Object) -> Object:
    (status,) = pod["status"]["containerStatuses"]
    found: Object = status
    return found


def test_a_container_that_takes_more_memory_than_its_limit_is_killed(namespace: Namespace) -> None:
    limits = {"resources": {"limits": {"memory": "64Mi"}}}
    namespace.run("greedy", ["python", "-c", GREEDY], container=limits)
    assert "Failed" in conditions(namespace.finish("greedy"))
    ended = container(namespace.pods("greedy")[0])["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_a_pod_is_ready_once_its_probe_says_so(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["test", "-e", "/state/ready"]}, "periodSeconds": 1}
    namespace.run(
        "probed",
        f"sleep 3; touch /state/ready; {WAIT}",
        pod={"volumes": [{"name": "state", "emptyDir": {}}]},
        container={"readinessProbe": probe, "volumeMounts": [{"name": "state", "mountPath": "/state"}]},
    )
    (pod,) = namespace.running("probed")
    assert not container(pod)["ready"]
    until(lambda: container(namespace.pods("probed")[0])["ready"], "the pod to be ready")


def test_a_container_whose_liveness_probe_fails_is_started_again(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    namespace.run("dead", WAIT, pod={"restartPolicy": "OnFailure"}, container={"livenessProbe": probe}, backoffLimit=6)
    until(lambda: container(namespace.running("dead")[0])["restartCount"] > 0, "the container to be started again")
    assert "failed liveness probe" in namespace.events("Killing", of="dead")[0]


def test_an_image_that_cannot_be_pulled_is_told(namespace: Namespace) -> None:
    namespace.image = "registry.invalid/no-such-image:1"
    namespace.run("absent", "true")
    until(lambda: namespace.waiting("absent") & {"ErrImagePull", "ImagePullBackOff"}, "a pod that says why")
    assert any("registry.invalid/no-such-image:1" in message for message in namespace.events("Failed", of="absent"))
