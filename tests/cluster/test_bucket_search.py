"""A search on Kubernetes whose directory is in a bucket: its pods share nothing else, and no volume."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.record.record import Outcome, TrialStatus
from tests.cluster.kubernetes_search import KubernetesSearch
from tests.harness.cluster.kubernetes.api import Api
from tests.harness.cluster.kubernetes.objects import Namespace, make_namespace
from tests.harness.cluster.local_cluster import LocalCluster
from tests.harness.cluster.machine.namespaces import MACHINE
from tests.harness.cluster.node.node_pool import NodePool
from tests.harness.gcs.fixtures import BUCKET, Gcs, bucket_at
from tests.harness.gcs.server import Fault

pytestmark = pytest.mark.timeout(400)
pytest_plugins = ["tests.cluster.search_fixtures"]

AUTHORITY_DIR = "/etc/cloud"
SPOT = {"name": "spot", "spot": True}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gcs]:
    """A bucket where pods reach it; the step finds it too."""
    with bucket_at(MACHINE, tmp_path / "authority") as made:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", made.environment["STORAGE_EMULATOR_HOST"])
        yield made


@pytest.fixture
def team(api: Api, image: str, bucket: Gcs) -> Iterator[Namespace]:
    """A namespace with what deploy/ brings, whose pods know whom to believe that it is Cloud Storage."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made = make_namespace(api, f"bucket-{os.getpid()}", image, labels=labels)
    authority = {"metadata": {"name": "cloud"}, "data": {"ca.crt": bucket.authority.read_text()}}
    api.create(made.path("configmaps"), authority)
    yield made
    api.delete(f"/api/v1/namespaces/{made.name}")


def test_a_search_needs_no_volume_and_survives_a_preemption_and_a_bucket_with_bad_moments(
    local_cluster: LocalCluster, cluster_dns: None, team: Namespace, step: KubernetesApi, bucket: Gcs, nodes: NodePool
) -> None:
    authority = {"name": "cloud", "mount_path": AUTHORITY_DIR, "source": {"configMap": {"name": "cloud"}}}
    env = {**bucket.environment, "CURL_CA_BUNDLE": f"{AUTHORITY_DIR}/ca.crt"}
    spot = nodes.add_spot()
    made = KubernetesSearch(
        local_cluster,
        team,
        f"{bucket.url}/runs",
        step,
        "anywhere",
        {"max_trials": 2, "epochs": 6, "seconds": 1.0},
        settings={"env": env, "volumes": [authority], "groups": [SPOT]},
    )
    bucket.server.faults[:] = [
        Fault("POST", "/journal/", times=2, status=HTTPStatus.SERVICE_UNAVAILABLE),
        Fault("POST", "/journal/", times=2, after=True),
        Fault("POST", "/record.json", times=2, status=HTTPStatus.TOO_MANY_REQUESTS),
        Fault("POST", "/journal/", times=1000, slow_only=True, seconds=0.5),
        Fault("GET", "/journal/", times=1000, slow_only=True, seconds=0.2),
    ]
    preempted: list[int] = []

    def preempt(record: object) -> None:
        epochs = max((trial.epochs for trial in made.records[-1].trials), default=0)
        if not preempted and epochs >= 3:
            preempted.append(epochs)
            spot.preempt()
            nodes.remove(spot)
            nodes.add_spot()

    found = made.run(workers=1, watch=preempt)
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 2 and preempted
    lost, other = sorted(found.record.trials, key=lambda trial: -len(trial.stays))
    assert [stay.outcome for stay in lost.stays] == [Outcome.RELEASED, Outcome.COMPLETED] and len(other.stays) == 1
    assert bucket.server.struck > 10
    stored = {each.name.removeprefix("runs/monday/") for each in bucket.objects.page(BUCKET, "", "", "", 9999).objects}
    # The first epoch of each trial was trained once: nothing began anew.
    assert sorted(name[7] for name in stored if name.startswith("epochs/0")) == ["0", "0"]
    assert {"record.json", "attempt", "logs/chief.log", "logs/spot-0.log"} <= stored
    assert "run.lock" not in stored
    assert made.directory.read_record() == found.record
    assert made.left() == []
