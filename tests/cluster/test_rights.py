"""The Role of deploy/: each of its verbs is needed, and whoever lacks one is told which, where, and what grants it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
import yaml

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube import cluster as kube_cluster
from custom_components.distributed_tuner.cluster.kube import place
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.mirror import Mirror
from custom_components.distributed_tuner.cluster.kube.cluster import KubernetesCluster
from custom_components.distributed_tuner.cluster.kube.control import objects
from custom_components.distributed_tuner.cluster.kube.control.forgiveness import IGNORED_ENDS, forgive
from custom_components.distributed_tuner.cluster.kube.manifests import names
from tests.cluster.kubernetes_search import DEPLOY, KubernetesSearch, connect
from tests.cluster.searching import Make
from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.control_plane import ControlPlane
from tests.harness.cluster.kubernetes.objects import RESTRICTED_CONTAINER, RESTRICTED_POD, Namespace
from tests.harness.cluster.kubernetes.waiting import until

pytest_plugins = ["tests.cluster.search_fixtures"]

Operation = Callable[[KubernetesSearch, KubernetesApi], None]


def granted() -> list[tuple[str, str]]:
    """(resource, verb) of each right in the Role."""
    role = yaml.safe_load((DEPLOY / "role.yaml").read_text("utf-8"))
    return [(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]]


@contextlib.contextmanager
def started(made: KubernetesSearch) -> Iterator[KubernetesCluster]:
    """A step's view of the search, which it makes or finds, until the step is gone."""
    cluster = made.make_cluster()
    try:
        cluster.start(1)
        yield cluster
    finally:
        cluster.leave()


def start(made: KubernetesSearch, api: KubernetesApi) -> None:
    """A search is made."""
    with started(made):
        return


def adopt(made: KubernetesSearch, api: KubernetesApi) -> None:
    """A search is made, and found by a step that is run again."""
    start(made, api)
    start(made, api)


def unscheduled(team: Namespace) -> Object:
    """The spec of a pod that finds no machine."""
    return {
        "securityContext": RESTRICTED_POD,
        "containers": [{"name": "main", "image": team.image, "securityContext": RESTRICTED_CONTAINER}],
        "restartPolicy": "Never",
        "nodeSelector": {"no": "such"},
    }


def put(team: Namespace, kind: str, labels: dict[str, str], spec: Object) -> None:
    """Makes an object that no search has made."""
    team.api.create(team.path(kind), {"metadata": {"name": "stray", "labels": labels}, "spec": spec})


def suspended(team: Namespace) -> Object:
    """The spec of a Job that starts nothing."""
    return {"suspend": True, "template": {"spec": unscheduled(team)}}


def remove(made: KubernetesSearch, api: KubernetesApi) -> None:
    """A search is removed of which something of each kind is left, that no garbage collector takes."""
    team, labels = made.namespace, made.name.labels(names.WORKER, "worker")
    put(team, "jobs", labels, suspended(team))
    put(team, "pods", labels, unscheduled(team))
    put(team, "services", labels, {"ports": [{"port": 1}]})
    put(team, "networkpolicies", labels, {"podSelector": {}})
    objects.remove(api, team.name, made.name.name, grace_seconds=0.0)
    assert made.left() == []


def watch_jobs(made: KubernetesSearch, api: KubernetesApi) -> None:
    """A Job that comes is seen."""
    _watch(made, api, "Job", "jobs", suspended(made.namespace))


def watch_pods(made: KubernetesSearch, api: KubernetesApi) -> None:
    """A pod that comes is seen."""
    _watch(made, api, "Pod", "pods", unscheduled(made.namespace))


def _watch(made: KubernetesSearch, api: KubernetesApi, kind: str, plural: str, spec: Object) -> None:
    team = made.namespace
    mirror = Mirror(api, objects.path(kind, team.name), names.selector("any"), refusal_seconds=0.0)
    mirror.start()
    try:
        put(team, plural, {names.SEARCH_LABEL: "any"}, spec)
        until(lambda: bool(mirror.objects()), f"the {kind} that was made")
    finally:
        mirror.stop()


def find_own_pod(made: KubernetesSearch, api: KubernetesApi) -> None:
    """The step looks whom its search belongs to."""
    place.find(api, made.namespace.name, {"POD_NAME": "step"}, own=made.namespace.name)


def read_log(made: KubernetesSearch, api: KubernetesApi) -> None:
    """The log of a pod that has none yet."""
    try:
        objects.read_log(api, made.namespace.name, "step", 1)
    except ClusterError as error:
        if 'pods "step" not found' not in str(error):
            raise


def set_back(made: KubernetesSearch, api: KubernetesApi) -> None:
    """A pod's count of ends that were nobody's fault is set back."""
    team = made.namespace
    put(team, "pods", {}, unscheduled(team))
    forgive(api, team.name, team.api.get(team.path("pods", "stray")))
    assert team.api.get(team.path("pods", "stray"))["metadata"]["annotations"][IGNORED_ENDS] == "0"


def ask_for_events(made: KubernetesSearch, api: KubernetesApi) -> None:
    """A worker waits for a machine, and the step looks why."""
    with started(made) as cluster:
        until(lambda: "node" in cluster.poll().waiting(), "the scheduler's words")


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("jobs", "create"): start,
    ("jobs", "get"): start,
    ("jobs", "list"): start,
    ("jobs", "patch"): start,
    ("jobs", "watch"): watch_jobs,
    ("jobs", "delete"): remove,
    ("pods", "get"): find_own_pod,
    ("pods", "list"): start,
    ("pods", "watch"): watch_pods,
    ("pods", "delete"): remove,
    ("pods/status", "patch"): set_back,
    ("pods/log", "get"): read_log,
    ("services", "create"): start,
    ("services", "get"): adopt,
    ("services", "list"): remove,
    ("services", "delete"): remove,
    ("secrets", "create"): start,
    ("secrets", "get"): start,
    ("secrets", "delete"): remove,
    ("networkpolicies", "create"): start,
    ("networkpolicies", "get"): adopt,
    ("networkpolicies", "list"): remove,
    ("networkpolicies", "delete"): remove,
    ("events", "list"): ask_for_events,
}


def test_there_is_an_operation_for_each_right() -> None:
    assert set(OPERATIONS) == set(granted())


@pytest.fixture
def made(make: Make, monkeypatch: pytest.MonkeyPatch) -> KubernetesSearch:
    """A search whose pods find no machine: nothing of it has to run."""
    monkeypatch.setattr(kube_cluster, "REFUSAL_SECONDS", 0.0)
    nowhere = {"node_selector": {"no": "such"}}
    return make("waiting", settings={"chief": nowhere, "groups": [nowhere]})


def connection(team: Namespace, control_plane: ControlPlane, without: tuple[str, str]) -> KubernetesApi:
    """A step with all rights of the Role but one."""
    role = yaml.safe_load((DEPLOY / "role.yaml").read_text("utf-8"))
    rules = []
    for rule in role["rules"]:
        left = [verb for verb in rule["verbs"] if (rule["resources"][0], verb) != without]
        rules.append({**rule, "verbs": left})
    token = team.service_account("lesser", [rule for rule in rules if rule["verbs"]])
    kept = next(right for right in granted() if right != without)
    until(lambda: _may(team.api, team.name, kept), "the Role to take effect")
    return connect(control_plane.url, control_plane.authority.certificate, token)


def _may(api: Api, namespace: str, right: tuple[str, str]) -> bool:
    resource, verb = right
    group = {"jobs": "batch", "networkpolicies": "networking.k8s.io"}.get(resource, "")
    review = {
        "spec": {
            "user": f"system:serviceaccount:{namespace}:lesser",
            "resourceAttributes": {"namespace": namespace, "verb": verb, "group": group, "resource": resource},
        }
    }
    return bool(api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"])


@pytest.mark.parametrize("operation", list(dict.fromkeys(OPERATIONS.values())))
def test_with_all_rights_each_operation_succeeds(
    made: KubernetesSearch, step: KubernetesApi, operation: Operation
) -> None:
    operation(made, step)


@pytest.mark.parametrize(("resource", "verb"), granted())
def test_whoever_lacks_one_right_is_told_which_and_what_grants_it(
    made: KubernetesSearch, team: Namespace, control_plane: ControlPlane, resource: str, verb: str
) -> None:
    made.api = connection(team, control_plane, (resource, verb))
    words = (
        rf"{team.name}:lesser may not {verb} {resource}(\.[a-z.0-9]+)? in namespace {team.name}\. "
        r"The Role in deploy/role\.yaml grants it"
    )
    with pytest.raises(ClusterError, match=words):
        OPERATIONS[resource, verb](made, made.api)
