"""What every place for chief and workers owes a search, on a real control plane."""

from __future__ import annotations

from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import Cluster
from custom_components.distributed_tuner.cluster.kube.observe.diagnosis import index
from custom_components.distributed_tuner.options import SearchOptions
from tests.cluster.kubernetes_search import KubernetesSearch
from tests.cluster.searching import Make
from tests.custom_components.distributed_tuner.cluster.contract import ClusterContract, MakePlace, Place
from tests.harness.cluster.local_cluster import LocalCluster

pytest_plugins = ["tests.cluster.search_fixtures"]


class KubernetesPlace(Place):
    """A search of Jobs, whose pods are processes of this machine."""

    def __init__(self, search: KubernetesSearch, cluster: LocalCluster) -> None:
        self.directory, self.spec = search.directory, search.spec
        self._search = search
        self._nodes = cluster.nodes

    def make_cluster(self) -> Cluster:
        return self._search.make_cluster()

    def left(self) -> list[str]:
        return self._search.left()

    def process(self, cluster: Cluster, member: str) -> str | None:
        pod = self._pod(member)
        return None if pod is None else str(pod["metadata"]["name"])

    def kill(self, cluster: Cluster, member: str) -> None:
        pod = self._pod(member)
        assert pod is not None, f"{member} has no pod that runs"
        self._nodes.crash(pod["metadata"]["uid"])

    def _pod(self, member: str) -> Any:
        part, _, number = member.partition("-")
        pods = [pod for pod in self._search.live(part) if not number or index(pod) == int(number)]
        return next(iter(pods), None)


@pytest.mark.timeout(400)
class TestKubernetesCluster(ClusterContract):
    @pytest.fixture
    def make_place(self, make: Make, local_cluster: LocalCluster) -> MakePlace:
        def made(function: str, config: Any, options: SearchOptions) -> Place:
            return KubernetesPlace(make(function, config, options=options), local_cluster)

        return made
