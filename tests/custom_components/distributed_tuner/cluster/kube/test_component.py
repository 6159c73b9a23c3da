"""The component's `cluster` argument, from the pipeline's file to what the step starts."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from tfx.types import channel, standard_artifacts

from custom_components.distributed_tuner import executor, keys
from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube import place
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import chief_job, worker_job
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions, KubernetesOptionsError
from custom_components.distributed_tuner.component import DistributedTuner
from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.harness.gcs.fixtures import Gcs

NAME = SearchName("pipeline", "run", "node")


def component(**cluster: Any) -> DistributedTuner:
    return DistributedTuner(
        examples=channel.Channel(type=standard_artifacts.Examples),
        tuner_fn="a.b",
        cluster={"kind": "kubernetes", **cluster},
    )


def test_a_wrong_setting_is_refused_when_the_pipeline_is_made() -> None:
    with pytest.raises(KubernetesOptionsError, match=r"groups\[0\]\.cuont: unknown setting"):
        component(image="i", groups=[{"cuont": 2}])


def test_right_settings_reach_the_step_as_they_are() -> None:
    made = component(image="i", groups=[{"name": "spot", "spot": True}])
    assert json.loads(made.exec_properties[keys.CLUSTER]) == {
        "kind": "kubernetes",
        "image": "i",
        "groups": [{"name": "spot", "spot": True}],
    }


def test_a_step_that_knows_no_cluster_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    spec = SearchSpec("s", "", {}, SearchOptions())
    volume = {"name": "v", "mount_path": str(tmp_path), "source": {"persistentVolumeClaim": {"claimName": "v"}}}
    settings = {"kind": "kubernetes", "image": "i", "namespace": "ml", "volumes": [volume]}
    with pytest.raises(ClusterError, match="no Kubernetes cluster is known here"):
        executor._cluster(settings, SearchDir(tmp_path / "search"), spec, NAME, 1)


def test_a_step_whose_search_directory_is_on_no_volume_says_so(tmp_path: Path) -> None:
    spec = SearchSpec("s", "", {}, SearchOptions())
    with pytest.raises(ClusterError, match=f"chief: no volume .* holds the search directory, .*{tmp_path}"):
        executor._cluster({"kind": "kubernetes", "image": "i"}, SearchDir(tmp_path / "search"), spec, NAME, 1)


def test_a_step_outside_of_the_cluster_is_warned_that_it_reaches_no_chief(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def knows_none(host: str, port: object) -> list[object]:
        raise OSError(host)

    monkeypatch.setattr(socket, "getaddrinfo", knows_none)
    monkeypatch.setattr(executor, "KubernetesCluster", lambda plan: plan)
    spec = SearchSpec("s", "", {}, SearchOptions(chief_timeout_seconds=77.0))
    volume = {"name": "v", "mount_path": str(tmp_path), "source": {"persistentVolumeClaim": {"claimName": "v"}}}
    settings = {"kind": "kubernetes", "image": "i", "namespace": "ml", "volumes": [volume]}
    executor._cluster(settings, SearchDir(tmp_path / "search"), spec, NAME, 1)
    (told,) = caplog.messages
    assert f"{NAME.chief}.ml.svc:50051, and will give up after 77 s" in told


def test_a_step_with_no_worker_for_a_group_in_a_queue_says_so_before_it_looks_for_a_cluster(tmp_path: Path) -> None:
    spec = SearchSpec("s", "", {}, SearchOptions())
    groups = [{"name": "a", "count": 2}, {"name": "q", "queue": "lq"}]
    volume = {"name": "v", "mount_path": str(tmp_path), "source": {"persistentVolumeClaim": {"claimName": "v"}}}
    settings = {"kind": "kubernetes", "image": "i", "namespace": "ml", "volumes": [volume], "groups": groups}
    with pytest.raises(ClusterError, match="groups q: count: none of the 2 workers"):
        executor._cluster(settings, SearchDir(tmp_path / "search"), spec, NAME, 2)


def test_a_search_directory_in_a_bucket_is_beside_the_pipelines_outputs_and_needs_no_volume(
    gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.server.url)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    results = standard_artifacts.TunerResults()
    results.uri = f"{gcs.url}/pipelines/DistributedTuner/tuner_results/7"
    root = executor._search_root({"tuner_results": [results]}, "monday")
    assert root == f"{gcs.url}/pipelines/DistributedTuner/searches/monday"
    # Past the volumes, it is the cluster that is not there.
    with pytest.raises(ClusterError, match="no Kubernetes cluster is known here"):
        settings = {"kind": "kubernetes", "image": "i", "namespace": "ml"}
        executor._cluster(settings, SearchDir(root), SearchSpec("s", "", {}, SearchOptions()), NAME, 1)
    plan = place.plan(KubernetesOptions(image="i", namespace="ml"), SearchOptions(), NAME, root)
    containers = [
        manifest["spec"]["template"]["spec"]["containers"][0]
        for manifest in (chief_job(plan), worker_job(plan, plan.options.groups[0], 1))
    ]
    assert all(root in container["command"] for container in containers)
    assert {mount["name"] for each in containers for mount in each["volumeMounts"]} == {"credentials", "tmp", "home"}


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"kind": "slurm"}, r"kind 'slurm'; known are 'local' and 'kubernetes'"),
        ({"image": "i"}, "kind None; known are"),
        ({"kind": "local", "image": "i"}, "image: not a setting of the local cluster"),
    ],
)
def test_another_cluster_is_refused_when_the_pipeline_is_made(cluster: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DistributedTuner(examples=channel.Channel(type=standard_artifacts.Examples), tuner_fn="a.b", cluster=cluster)


def test_an_unknown_kind_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"'slurm'; known are 'local' and 'kubernetes'"):
        executor._cluster({"kind": "slurm"}, SearchDir(tmp_path), SearchSpec("s", "", {}, SearchOptions()), NAME, 1)
