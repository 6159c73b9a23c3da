"""One cluster for the session, a fresh namespace for each test.

Without TEST_KUBECONFIG the cluster is the harness's own, and pytest itself moves into its network: so this folder is
for a pytest run of its own (`make test-cluster`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.control_plane import ControlPlane
from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.kubernetes.fault_proxy import FaultProxy
from tests.harness.cluster.kubernetes.objects import Namespace, make_namespace
from tests.harness.cluster.local_cluster import LocalCluster, prepare, programs
from tests.harness.cluster.machine import namespaces, syscalls
from tests.harness.cluster.node.images import HOST_IMAGE
from tests.harness.cluster.node.node_pool import NodePool
from tests.harness.cluster.real_node import packages
from tests.harness.cluster.real_node.real_node import PLACEMENT, RealNode

_USERS_CLUSTER = os.environ.get("TEST_KUBECONFIG", "")
_USERS_IMAGE = os.environ.get("TEST_IMAGE", "python:3.10-slim")
#: Where searches keep their directory on the user's cluster: a StorageClass, or gs://…; empty leaves searches out.
USERS_STORAGE = os.environ.get("TEST_STORAGE", "") if _USERS_CLUSTER else ""
_FULL = os.environ.get("FULL", "") not in ("", "0")
_TEST_SECONDS = 300
# Whoever asks for one of these needs a cluster that the test can break.
_OWN_CLUSTER_ONLY = frozenset({"local_cluster", "control_plane", "nodes", "fault_proxy"})

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Enters the cluster's network, before anything starts a thread."""
    config.addinivalue_line("markers", "full: takes long; runs with FULL=1")
    config.addinivalue_line("markers", "root: needs root's powers over other users' files and processes")
    config.addinivalue_line("markers", "real_node: on the harness's own real node; runs with FULL=1")
    config.addinivalue_line("markers", "search: on the user's cluster with TEST_STORAGE, else with FULL=1")
    config.addinivalue_line("markers", "containers: needs real containers, of the real node or of the user's cluster")
    if _USERS_CLUSTER or config.option.collectonly or config.option.help:
        return
    if hasattr(config, "workerinput") or config.getoption("numprocesses", None):
        raise pytest.UsageError("the cluster tests share one cluster: run them without -n")
    try:
        prepare(real_node=_FULL and not packages.missing())
        namespaces.enter()
    except HarnessError as error:
        raise pytest.UsageError(f"the cluster tests cannot run here: {error}") from error


def pytest_report_header() -> list[str]:
    """Says what this machine leaves out."""
    told = []
    if _USERS_CLUSTER and not USERS_STORAGE:
        told.append("searches are left out: TEST_STORAGE names no place for their directories (docs/cluster-tests.md)")
    if not _USERS_CLUSTER:
        lacks = packages.missing()
        if _FULL and lacks:
            told.append(f"tests in real containers are left out: {lacks}")
        if not syscalls.has_root():
            told.append(
                "tests marked `root` are left out: without it all pods have one user, who owns no folder of the system"
            )
    return told


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is not wanted, or not possible, this time."""
    unwanted = [item for item in items if not _wanted(item)]
    items[:] = [item for item in items if _wanted(item)]
    config.hook.pytest_deselected(items=unwanted)
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


def _wanted(item: pytest.Item) -> bool:
    marks = {mark.name for mark in item.iter_markers()}
    if _USERS_CLUSTER:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "search" in marks and not USERS_STORAGE:
            return False
        return not (_OWN_CLUSTER_ONLY & fixtures) and "real_node" not in marks and (_FULL or "full" not in marks)
    if marks & {"real_node", "containers"} and packages.missing():
        return False
    if "root" in marks and not syscalls.has_root():
        return False
    return _FULL or not marks & {"full", "real_node", "containers", "search"}


@pytest.fixture(scope="session")
def local_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """The harness's own cluster, with two nodes that take any pod."""
    with LocalCluster(tmp_path_factory.mktemp("kubernetes") / "cluster", programs()) as cluster:
        for _ in range(2):
            cluster.nodes.add()
        yield cluster


@pytest.fixture(scope="session")
def control_plane(local_cluster: LocalCluster) -> ControlPlane:
    return local_cluster.control_plane


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> Path:
    """The kubeconfig of the cluster's administrator."""
    if _USERS_CLUSTER:
        return Path(_USERS_CLUSTER)
    cluster: LocalCluster = request.getfixturevalue("local_cluster")
    return cluster.kubeconfig


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Api:
    return Api(kubeconfig)


@pytest.fixture(scope="session")
def image() -> str:
    """An image that the cluster has, with Python and a shell."""
    return _USERS_IMAGE if _USERS_CLUSTER else HOST_IMAGE


@pytest.fixture(scope="session")
def real_node(local_cluster: LocalCluster) -> Iterator[RealNode]:
    """A node with the real kubelet. It takes only pods that say so, as those of `on_real_node` do."""
    node = RealNode(local_cluster.control_plane, local_cluster.folder / "real-node")
    yield node
    node.close()


@pytest.fixture
def on_real_node(request: pytest.FixtureRequest) -> Object:
    """What a pod's spec needs to become real containers."""
    if _USERS_CLUSTER:
        return {}
    request.getfixturevalue("real_node")
    return PLACEMENT


@pytest.fixture
def placement() -> Object:
    """What the specs of the namespace's pods have; a module with a fixture of this name sends them elsewhere."""
    return {}


@pytest.fixture
def namespace(api: Api, image: str, placement: Object) -> Iterator[Namespace]:
    """A namespace of the test's own; what is left in it is deleted."""
    made = make_namespace(api, f"test-{os.getpid()}-{next(_numbers)}", image, placement=placement)
    yield made
    api.delete(f"/api/v1/namespaces/{made.name}")


@pytest.fixture
def nodes(local_cluster: LocalCluster) -> Iterator[NodePool]:
    """Makes nodes of the test's own. They take only pods that ask for them: see `NodePool.add`'s labels and taints."""
    plane = local_cluster.control_plane
    name = f"extra-{next(_numbers)}"
    with NodePool(plane.api(), plane.authority, local_cluster.folder / name, prefix=name) as pool:
        yield pool


@pytest.fixture(scope="session")
def admin_token(api: Api) -> str:
    """The token of a service account that may do everything: a fault proxy passes no certificate on."""
    account = {"kind": "ServiceAccount", "name": "cluster-tests", "namespace": "kube-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    path = f"/api/v1/namespaces/{account['namespace']}/serviceaccounts"
    api.create(path, {"metadata": {"name": account["name"]}})
    binding = {"metadata": {"name": account["name"]}, "roleRef": role, "subjects": [account]}
    api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    return str(api.create(f"{path}/{account['name']}/token", {"spec": {}})["status"]["token"])


@pytest.fixture
def fault_proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    """Stands before the API server, for clients with a token."""
    proxy = FaultProxy(control_plane.url, control_plane.authority, f"fault-proxy-{next(_numbers)}")
    yield proxy
    proxy.close()
