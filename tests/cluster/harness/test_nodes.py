"""Process nodes as a cluster sees them: where pods go, and what becomes of them when a node ends."""

from __future__ import annotations

import pytest

from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.control_plane import ControlPlane
from tests.harness.cluster.kubernetes.objects import (
    HEEDS,
    IGNORE_DISRUPTIONS,
    LEAVE_LOST_NODES,
    WAIT,
    Namespace,
    conditions,
)
from tests.harness.cluster.kubernetes.waiting import until
from tests.harness.cluster.node.node_pool import GPU, SPOT_LABELS, SPOT_TAINT, NodePool

ON_SPOT: Object = {
    "nodeSelector": SPOT_LABELS,
    "tolerations": [{"key": SPOT_TAINT["key"], "operator": "Exists", "effect": "NoSchedule"}, *LEAVE_LOST_NODES],
}


def ready(api: Api, path: str) -> str:
    """The status of the Ready condition of a node or a pod."""
    kinds = {one["type"]: one["status"] for one in api.get(path)["status"]["conditions"]}
    return str(kinds["Ready"])


def test_a_pod_goes_where_its_selector_its_tolerations_and_its_gpus_fit(namespace: Namespace, nodes: NodePool) -> None:
    nodes.add(labels=SPOT_LABELS)
    nodes.add_spot()
    with_gpu = nodes.add_spot(gpus=1)
    namespace.run("training", "true", pod=ON_SPOT, container={"resources": {"limits": {GPU: "1"}}})
    namespace.finish("training")
    assert [pod["spec"]["nodeName"] for pod in namespace.pods("training")] == [with_gpu.name]


def test_a_taint_keeps_a_pod_away_until_a_node_without_it_comes(namespace: Namespace, nodes: NodePool) -> None:
    nodes.add_spot()
    namespace.run("waiting", "true", pod={"nodeSelector": SPOT_LABELS})
    (message,) = until(lambda: namespace.events("FailedScheduling", of="waiting"), "an event that says why")
    assert "untolerated taint" in message
    open_node = nodes.add(labels=SPOT_LABELS)
    namespace.finish("waiting")
    assert [pod["spec"]["nodeName"] for pod in namespace.pods("waiting")] == [open_node.name]


def test_more_pods_than_gpus_wait_for_their_turn(namespace: Namespace, nodes: NodePool) -> None:
    nodes.add_spot(gpus=2)
    limits = {"resources": {"limits": {GPU: "1"}}}
    namespace.run("many", WAIT, pod=ON_SPOT, container=limits, completions=3, parallelism=3)
    namespace.running("many", 2)
    until(lambda: namespace.events("FailedScheduling", of="many"), "a pod without a GPU")
    assert sorted(pod["status"]["phase"] for pod in namespace.pods("many")) == ["Pending", "Running", "Running"]


def test_a_spot_machine_that_is_taken_away_costs_the_job_nothing(namespace: Namespace, nodes: NodePool) -> None:
    spot = nodes.add_spot()
    namespace.run("spot", WAIT, pod=ON_SPOT, podFailurePolicy=IGNORE_DISRUPTIONS)
    (pod,) = namespace.running("spot")
    namespace.said(pod, HEEDS)
    spot.preempt(grace=30)
    ended = namespace.api.get(namespace.path("pods", pod["metadata"]["name"]))
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Failed", "Terminated")
    assert conditions(ended)["DisruptionTarget"] == "TerminationByKubelet"
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143
    nodes.remove(spot)
    other = nodes.add_spot()
    (replacement,) = namespace.running("spot")
    assert replacement["spec"]["nodeName"] == other.name
    assert namespace.job("spot")["status"].get("failed", 0) == 0


def test_the_pods_of_a_node_that_dies_are_given_up(namespace: Namespace, nodes: NodePool) -> None:
    node = nodes.add_spot()
    namespace.run("lost", WAIT, pod=ON_SPOT, podFailurePolicy=IGNORE_DISRUPTIONS)
    (pod,) = namespace.running("lost")
    node.die()
    until(lambda: ready(namespace.api, f"/api/v1/nodes/{node.name}") == "Unknown", "the node to count as lost")
    path = namespace.path("pods", pod["metadata"]["name"])
    given_up = until(
        lambda: one if "deletionTimestamp" in (one := namespace.api.get(path))["metadata"] else None,
        "the pod of the lost node to be given up",
    )
    assert conditions(given_up)["DisruptionTarget"] == "DeletionByTaintManager"


@pytest.mark.full
def test_a_job_goes_on_elsewhere_once_the_object_of_its_dead_node_is_gone(
    namespace: Namespace, nodes: NodePool
) -> None:
    node = nodes.add_spot()
    namespace.run("moved", WAIT, pod=ON_SPOT, podFailurePolicy=IGNORE_DISRUPTIONS)
    namespace.running("moved")
    node.die()
    until(lambda: ready(namespace.api, f"/api/v1/nodes/{node.name}") == "Unknown", "the node to count as lost")
    nodes.remove(node)
    other = nodes.add_spot()
    # The garbage collector of pods looks each 20 s, and trusts a node's absence after 40.
    until(
        lambda: [pod for pod in namespace.running("moved") if pod["spec"]["nodeName"] == other.name],
        "the Job to run on the other node",
        seconds=180,
    )
    assert namespace.job("moved")["status"].get("failed", 0) == 0


def test_a_node_that_is_cut_off_for_a_moment_keeps_its_pods(namespace: Namespace, nodes: NodePool) -> None:
    node = nodes.add_spot()
    patient = {"nodeSelector": SPOT_LABELS, "tolerations": ON_SPOT["tolerations"][:1]}
    namespace.run("patient", WAIT, pod=patient)
    (pod,) = namespace.running("patient")
    node_path, pod_path = f"/api/v1/nodes/{node.name}", namespace.path("pods", pod["metadata"]["name"])
    node.cut_off()
    until(lambda: ready(namespace.api, node_path) == "Unknown", "the node to count as lost")
    until(lambda: ready(namespace.api, pod_path) == "False", "its pod to count as not ready")
    node.reconnect()
    until(lambda: ready(namespace.api, node_path) == "True", "the node to be back")
    until(lambda: ready(namespace.api, pod_path) == "True", "its pod to count as ready again")
    (same,) = namespace.running("patient")
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]


def test_pods_outlive_an_api_server(namespace: Namespace, control_plane: ControlPlane) -> None:
    namespace.run("long", "sleep 3; echo done")
    (pod,) = namespace.running("long")
    control_plane.restart_api_server()
    assert "Complete" in conditions(namespace.finish("long"))
    (same,) = namespace.pods("long")
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]
    assert namespace.log(same) == "done\n"
