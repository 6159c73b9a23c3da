"""What tests of whole searches need: a team's namespace, and a step with the rights of deploy/ and no others.

A plugin: `pytest_plugins = ["tests.cluster.search_fixtures"]` in a module of tests.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from tests.cluster.kubernetes_search import KubernetesSearch, connect, deploy
from tests.cluster.searching import Make
from tests.cluster.teams import make_team, use_cluster_dns
from tests.harness.cluster.kubernetes.api import Api
from tests.harness.cluster.kubernetes.control_plane import ControlPlane
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.local_cluster import LocalCluster

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster_dns(local_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests are the pipeline's step, and call the chief by the name of its Service."""
    use_cluster_dns(tmp_path_factory.mktemp("dns"))


@pytest.fixture
def team(api: Api, image: str, local_cluster: LocalCluster, cluster_dns: None, tmp_path: Path) -> Iterator[Namespace]:
    """A namespace with what deploy/ brings and a claim named `runs`, which is the test's `tmp_path`."""
    made = make_team(local_cluster, api, f"team-{os.getpid()}-{next(_numbers)}", image, tmp_path)
    yield made
    api.delete(f"/api/v1/namespaces/{made.name}")


@pytest.fixture
def token(team: Namespace) -> str:
    return deploy(team)


@pytest.fixture
def step(control_plane: ControlPlane, token: str) -> KubernetesApi:
    """The step's connection: it has the rights of deploy/ and no others."""
    return connect(control_plane.url, control_plane.authority.certificate, token)


@pytest.fixture
def make(local_cluster: LocalCluster, team: Namespace, step: KubernetesApi, tmp_path: Path) -> Make:
    def made(function: str = "waiting", config: Any = None, **more: Any) -> KubernetesSearch:
        api = more.pop("api", step)
        return KubernetesSearch(local_cluster, team, tmp_path, api, function, config, **more)

    return made
