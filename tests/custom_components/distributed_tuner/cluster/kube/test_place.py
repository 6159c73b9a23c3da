"""Whom a search belongs to, by the pod that starts it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.kube import place
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions
from custom_components.distributed_tuner.options import SearchOptions
from tests.custom_components.distributed_tuner.cluster.kube.api_server import Answer, refuses, says, serving

WORKFLOW = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w", "uid": "7", "controller": True}


def step(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "step-1", "uid": "1", **metadata}, "spec": {}, "status": {}}


def test_the_workflow_owns_the_search_because_a_retry_is_another_pod() -> None:
    labels = {"workflows.argoproj.io/workflow": "w", "pod-template-hash": "x"}
    found = place.of_pod(step(ownerReferences=[WORKFLOW], labels=labels))
    assert found.owners == ({**WORKFLOW, "controller": False, "blockOwnerDeletion": False},)
    assert found.callers == {"podSelector": {"matchLabels": {"workflows.argoproj.io/workflow": "w"}}}


def test_a_pod_without_an_owner_owns_the_search_itself() -> None:
    found = place.of_pod(step())
    assert [(owner["kind"], owner["name"], owner["uid"]) for owner in found.owners] == [("Pod", "step-1", "1")]
    assert found.callers is None


def test_the_pod_is_looked_up_by_the_name_that_it_knows() -> None:
    with serving(says(step())) as server:
        found = place.find(server.api(), "ml", {"KFP_POD_NAME": "step-1", "HOSTNAME": "other"}, own="ml")
        assert server.requests[0][1] == "/api/v1/namespaces/ml/pods/step-1" and found.owners
        assert place.find(server.api(), "ml", {}, own="ml") == place.Place()
        assert place.find(server.api(), "ml", {"HOSTNAME": "laptop"}) == place.Place()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "selector"),
    [
        (
            says(step(ownerReferences=[WORKFLOW], labels={"workflows.argoproj.io/workflow": "w"})),
            {"matchLabels": {"workflows.argoproj.io/workflow": "w"}},
        ),
        (says(step(labels={"app": "x"})), {}),
        (refuses(403, "Forbidden"), {}),
        (refuses(404, "NotFound"), {}),
    ],
)
def test_a_step_in_another_namespace_owns_nothing_and_is_let_in(answer: Answer, selector: dict[str, Any]) -> None:
    with serving(answer) as server:
        found = place.find(server.api(), "ml", {"HOSTNAME": "step-1"}, own="kubeflow")
        assert server.requests[0][1] == "/api/v1/namespaces/kubeflow/pods/step-1"
    # An owner in another namespace would have the garbage collector remove the search at once.
    assert found.owners == ()
    assert found.callers == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}},
        "podSelector": selector,
    }


def test_a_host_that_is_no_pod_owns_nothing_and_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with serving(refuses(404, "NotFound")) as server:
        assert place.find(server.api(), "ml", {"HOSTNAME": "job-0"}, own="ml") == place.Place()
    assert "no pod of namespace ml is called job-0" in caplog.text and "Set POD_NAME" in caplog.text


def test_a_step_that_cannot_reach_the_cluster_network_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def knows(host: str, port: object) -> list[object]:
        asked.append(host)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", knows)
    place.warn_outside("x.ml.svc:50051", 300.0, None)
    assert asked == ["kubernetes.default.svc"] and not caplog.records

    def knows_none(host: str, port: object) -> list[object]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", knows_none)
    place.warn_outside("x.ml.svc:50051", 300.0, "ml")
    assert not caplog.records
    place.warn_outside("x.ml.svc:50051", 300.0, None)
    (told,) = caplog.messages
    assert "will not reach the chief at x.ml.svc:50051, and will give up after 300 s. Start it in a pod" in told


def test_the_namespace_is_the_users_then_the_pods_then_the_contexts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "namespace").write_text("team\n")
    assert place.own_namespace(tmp_path) == "team" and place.own_namespace(tmp_path / "none") is None
    name = SearchName("p", "r", "n")

    def namespace(**settings: str) -> str:
        options = KubernetesOptions.from_mapping({"image": "i", **settings})
        return place.plan(options, SearchOptions(), name, tmp_path).namespace

    monkeypatch.setattr(place, "own_namespace", lambda: "team")
    assert namespace(namespace="chosen") == "chosen" and namespace() == "team"
    monkeypatch.setattr(place, "own_namespace", lambda: None)
    monkeypatch.setattr(place, "context_namespace", lambda: "context")
    assert namespace() == "context"


def test_each_attempt_at_a_search_is_told_from_the_last(tmp_path: Path) -> None:
    options, name = KubernetesOptions.from_mapping({"image": "i", "namespace": "ml"}), SearchName("p", "r", "n")
    one, other = (place.plan(options, SearchOptions(), name, tmp_path) for _ in range(2))
    assert one.attempt != other.attempt and one.chief_address == other.chief_address
