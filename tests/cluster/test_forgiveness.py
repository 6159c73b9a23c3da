"""Members that are taken away again and again are replaced as quickly each time."""

from __future__ import annotations

import time

import pytest

from custom_components.distributed_tuner.cluster.kube.cluster import KubernetesCluster
from custom_components.distributed_tuner.cluster.kube.control.forgiveness import IGNORED_ENDS
from tests.cluster.kubernetes_search import KubernetesSearch
from tests.cluster.searching import Make
from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.objects import Namespace

pytest_plugins = ["tests.cluster.search_fixtures"]

_EVICTIONS = 3
_SECONDS = 120.0


@pytest.mark.parametrize("part", ["chief", pytest.param("worker", marks=pytest.mark.full)])
def test_the_wait_for_another_pod_does_not_grow(make: Make, team: Namespace, part: str) -> None:
    made = make("waiting", {"seconds": 600.0})
    made.spec.write(made.directory.storage)
    cluster = made.make_cluster()
    try:
        cluster.start(1)
        counts = []
        for _ in range(_EVICTIONS):
            pod = _forgiven(cluster, made, part)
            team.evict(pod)
            counts.append(_count(_successor(cluster, made, part, pod)))
        assert max(counts) <= 1, counts
    finally:
        cluster.close(grace_seconds=0.0)


def _count(pod: Object) -> int:
    return int(pod["metadata"]["annotations"].get(IGNORED_ENDS, 0))  # the first pod has none


def _forgiven(cluster: KubernetesCluster, made: KubernetesSearch, part: str) -> Object:
    ends = time.monotonic() + _SECONDS
    while time.monotonic() < ends:
        cluster.poll()
        for pod in made.live(part):
            if _count(pod) == 0:
                return pod
        time.sleep(0.1)
    raise TimeoutError(f"no pod of {part} runs, forgiven, within {_SECONDS:g} s: {made.pods(part)}")


def _successor(cluster: KubernetesCluster, made: KubernetesSearch, part: str, before: Object) -> Object:
    ends = time.monotonic() + _SECONDS
    while time.monotonic() < ends:
        cluster.poll()
        for pod in made.live(part):
            if pod["metadata"]["uid"] != before["metadata"]["uid"]:
                return pod
        time.sleep(0.1)
    raise TimeoutError(f"no pod of {part} after {before['metadata']['name']} within {_SECONDS:g} s")
