"""A whole search on any cluster, the user's too: its step is a pod, and the code that it tunes comes as a ConfigMap.

Nothing here needs nodes of the test's own, a folder that this machine shares with pods, or an address in the cluster.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import portable_step
from tests.cluster.conftest import USERS_STORAGE
from tests.cluster.kubernetes_search import KINDS, STEP, deploy
from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.objects import (
    IGNORE_DISRUPTIONS,
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    Namespace,
    make_namespace,
)
from tests.harness.cluster.kubernetes.waiting import until

pytestmark = [pytest.mark.timeout(600), pytest.mark.search]

_CODE = "/opt/search-code"
_RUNS = "/runs"
_BUCKET = "gs://"
_SECONDS = 400.0
_numbers = itertools.count(1)


@pytest.fixture
def team(api: Api, image: str) -> Iterator[Namespace]:
    """A namespace that admits restricted pods only, with what deploy/ brings."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    made = make_namespace(api, f"any-{os.getpid()}-{next(_numbers)}", image, labels=restricted)
    deploy(made)
    yield made
    api.delete(f"/api/v1/namespaces/{made.name}")


@pytest.fixture
def root(request: pytest.FixtureRequest, team: Namespace, tmp_path: Path) -> str:
    """The pipeline root: in the user's bucket, or on a claim named `runs`."""
    if USERS_STORAGE.startswith(_BUCKET):
        return f"{USERS_STORAGE.rstrip('/')}/{team.name}"
    if USERS_STORAGE:
        spec = {
            "storageClassName": USERS_STORAGE,
            # What most classes have, and enough where all pods are on one node or the volume is a network's.
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        }
        team.api.create(team.path("persistentvolumeclaims"), {"metadata": {"name": "runs"}, "spec": spec})
    else:
        request.getfixturevalue("local_cluster").share(team, "runs", tmp_path)
    return f"{_RUNS}/pipeline"


def start(team: Namespace, root: str, config: Object) -> None:
    """Makes the step's Job."""
    code = Path(portable_step.__file__).read_text("utf-8")
    data = {f"{portable_step.MODULE}.py": code}
    team.api.create(team.path("configmaps"), {"metadata": {"name": "code"}, "data": data})
    volumes: list[dict[str, Any]] = [
        {"name": "code", "source": {"configMap": {"name": "code"}}, "mount_path": _CODE, "read_only": True}
    ]
    if not root.startswith(_BUCKET):
        claim = {"persistentVolumeClaim": {"claimName": "runs"}}
        volumes.append({"name": "runs", "source": claim, "mount_path": _RUNS})
    small = {"cpu": "100m", "memory": "1Gi", "env": {"PYTHONPATH": _CODE}}
    cluster = {
        "kind": "kubernetes",
        "image": team.image,
        "groups": [small],
        "chief": small,
        "volumes": volumes,
        "node_loss_seconds": 30,
    }
    mounts = [{"name": volume["name"], "mountPath": volume["mount_path"]} for volume in volumes]
    team.run(
        "step",
        ["python", "-m", portable_step.MODULE, root, json.dumps(config), json.dumps(cluster)],
        pod={
            "serviceAccountName": STEP,
            "securityContext": RESTRICTED_POD,
            "volumes": [
                *({"name": volume["name"], **volume["source"]} for volume in volumes),
                {"name": "tmp", "emptyDir": {}},
            ],
        },
        container={
            "securityContext": RESTRICTED_CONTAINER,
            "volumeMounts": [*mounts, {"name": "tmp", "mountPath": "/tmp"}],
            "env": [{"name": "HOME", "value": "/tmp"}, {"name": "PYTHONPATH", "value": _CODE}],
        },
        podFailurePolicy=IGNORE_DISRUPTIONS,
    )


def objects(team: Namespace, kind: str, component: str = "") -> list[Object]:
    """The search's objects of a kind."""
    selector = "distributed-tuner/search" + (f",app.kubernetes.io/component={component}" if component else "")
    return team.api.items(team.path(kind), labelSelector=selector)


def test_a_search_whose_worker_and_chief_are_evicted_ends_and_leaves_nothing(team: Namespace, root: str) -> None:
    start(team, root, {"trials": 8, "seconds": 5.0})

    def told() -> object:
        return team.brief("step"), team.logs("step")

    def busy() -> bool:
        begun = [pod for pod in team.pods("step") if pod["status"]["phase"] != "Pending"]
        return any(re.search(r", [1-9] running", team.log(pod)) for pod in begun)

    until(busy, "a worker to have a trial", seconds=_SECONDS, tell=told)
    for component in ("worker", "chief"):
        team.evict(objects(team, "pods", component)[0])
    job = team.finish("step", seconds=_SECONDS)
    assert job["status"].get("succeeded") == 1, told()
    (log,) = team.logs("step")
    (results,) = [line for line in log.splitlines() if line.startswith(portable_step.RESULTS)]
    rows = json.loads(results.removeprefix(portable_step.RESULTS))
    assert len({row["trial_id"] for row in rows}) == len(rows) == 8, rows
    assert not any(objects(team, kind) for kind in KINDS)
