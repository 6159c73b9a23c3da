"""Who may reach chief and workers, by the policies that a search and deploy/ bring."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.kubernetes_search import KubernetesSearch
from tests.cluster.searching import Make
from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.network_policies import admits
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.kubernetes.waiting import until

pytest_plugins = ["tests.cluster.search_fixtures"]

WORKFLOW = "workflows.argoproj.io/workflow"


def pod(namespace: str, **labels: str) -> Object:
    return {"metadata": {"namespace": namespace, "labels": labels}}


def one_pod(made: KubernetesSearch, part: str) -> Object:
    """A pod as its Job made it; it waits for a machine for ever."""
    return until(lambda: next(iter(made.pods(part)), None), f"a pod of {part}")


@pytest.fixture
def two(make: Make) -> list[KubernetesSearch]:
    """Searches of two workflows of one namespace."""
    nowhere: dict[str, Any] = {"node_selector": {"no": "such"}}
    settings = {"groups": [nowhere], "chief": nowhere}
    made = [make("waiting", settings=settings, run=run) for run in ("monday", "tuesday")]
    for one, workflow in zip(made, ("first", "second"), strict=True):
        one.callers = {"podSelector": {"matchLabels": {WORKFLOW: workflow}}}
        one.make_cluster().start(1)
    return made


def test_only_a_searchs_own_workers_and_step_reach_its_chief_and_nobody_a_worker(
    two: list[KubernetesSearch], team: Namespace, api: Api
) -> None:
    policies = api.items("/apis/networking.k8s.io/v1/networkpolicies")
    spaces = {one["metadata"]["name"]: one["metadata"]["labels"] for one in api.items("/api/v1/namespaces")}
    mine, other = two
    chief, worker = one_pod(mine, "chief"), one_pod(mine, "worker")
    port = mine.plan.options.port
    step, elsewhere = pod(team.name, **{WORKFLOW: "first"}), pod("default", **{WORKFLOW: "first"})
    strangers = [pod(team.name), pod(team.name, **{WORKFLOW: "second"}), elsewhere, one_pod(other, "worker")]
    strangers.append(one_pod(other, "chief"))
    for source in (worker, step):
        assert admits(policies, chief, source, port, spaces)
        assert not admits(policies, chief, source, port + 1, spaces)
    for source in strangers:
        assert not admits(policies, chief, source, port, spaces), source["metadata"]
    for source in (chief, step, worker, *strangers):
        assert not admits(policies, worker, source, port, spaces), source["metadata"]
    # What is nobody's in this project stays as open as it was.
    assert admits(policies, pod(team.name, app="another"), worker, 80, spaces)


def test_a_step_in_another_namespace_is_told_from_its_neighbours(make: Make, team: Namespace, api: Api) -> None:
    nowhere: dict[str, Any] = {"node_selector": {"no": "such"}}
    made = make("waiting", settings={"groups": [nowhere], "chief": nowhere})
    home = {"matchLabels": {"kubernetes.io/metadata.name": "default"}}
    made.callers = {"namespaceSelector": home, "podSelector": {"matchLabels": {WORKFLOW: "first"}}}
    made.make_cluster().start(1)
    policies = api.items("/apis/networking.k8s.io/v1/networkpolicies")
    spaces = {one["metadata"]["name"]: one["metadata"]["labels"] for one in api.items("/api/v1/namespaces")}
    chief, port = one_pod(made, "chief"), made.plan.options.port
    assert admits(policies, chief, pod("default", **{WORKFLOW: "first"}), port, spaces)
    assert not admits(policies, chief, pod("default", **{WORKFLOW: "second"}), port, spaces)
    assert not admits(policies, chief, pod(team.name, **{WORKFLOW: "first"}), port, spaces)
