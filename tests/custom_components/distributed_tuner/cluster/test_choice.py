"""The component's `cluster` argument, from the pipeline's file to what the step starts."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from tfx.types import channel, standard_artifacts

from custom_components.distributed_tuner import executor, keys
from custom_components.distributed_tuner.cluster import choice
from custom_components.distributed_tuner.cluster.base import Cluster, ClusterError
from custom_components.distributed_tuner.cluster.kube import place
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import chief_job, worker_job
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.settings.groups import WorkerGroup
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions, KubernetesOptionsError
from custom_components.distributed_tuner.component import DistributedTuner
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.harness.gcs.fixtures import Gcs

NAME = SearchName("pipeline", "run", "node")


def make(
    settings: dict[str, Any], root: Path | str, *, workers: int = 1, search: SearchOptions | None = None
) -> Cluster:
    """What the step makes of the component's argument."""
    chosen = choice.from_json(json.dumps(settings))
    return choice.make(chosen, SearchDir(root), search or SearchOptions(), NAME, workers)


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
    volume = {"name": "v", "mount_path": str(tmp_path), "source": {"persistentVolumeClaim": {"claimName": "v"}}}
    settings = {"kind": "kubernetes", "image": "i", "namespace": "ml", "volumes": [volume]}
    with pytest.raises(ClusterError, match="no Kubernetes cluster is known here"):
        make(settings, tmp_path / "search")


def test_a_step_whose_search_directory_is_on_no_volume_says_so(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=f"chief: no volume .* holds the search directory, .*{tmp_path}"):
        make({"kind": "kubernetes", "image": "i"}, tmp_path / "search")


def test_a_step_outside_of_the_cluster_is_warned_that_it_reaches_no_chief(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def knows_none(host: str, port: object) -> list[object]:
        raise OSError(host)

    monkeypatch.setattr(socket, "getaddrinfo", knows_none)
    monkeypatch.setattr(choice, "KubernetesCluster", lambda plan: plan)
    patient = SearchOptions(chief_timeout_seconds=77.0)
    volume = {"name": "v", "mount_path": str(tmp_path), "source": {"persistentVolumeClaim": {"claimName": "v"}}}
    settings = {"kind": "kubernetes", "image": "i", "namespace": "ml", "volumes": [volume]}
    make(settings, tmp_path / "search", search=patient)
    (told,) = caplog.messages
    assert f"{NAME.chief}.ml.svc:50051, and will give up after 77 s" in told


def test_a_step_with_no_worker_for_a_group_in_a_queue_says_so_before_it_looks_for_a_cluster(tmp_path: Path) -> None:
    groups = [{"name": "a", "count": 2}, {"name": "q", "queue": "lq"}]
    volume = {"name": "v", "mount_path": str(tmp_path), "source": {"persistentVolumeClaim": {"claimName": "v"}}}
    settings = {"kind": "kubernetes", "image": "i", "namespace": "ml", "volumes": [volume], "groups": groups}
    with pytest.raises(ClusterError, match="groups q: count: none of the 2 workers"):
        make(settings, tmp_path / "search", workers=2)


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
        make(settings, root)
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


def test_an_unknown_kind_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ClusterError, match=r"'slurm'; known are 'local' and 'kubernetes'"):
        choice.from_json('{"kind": "slurm"}')


@pytest.mark.parametrize("cluster", [None, {}, {"kind": "local"}])
def test_processes_of_the_step_are_the_cluster_where_none_is_given(cluster: dict[str, Any] | None) -> None:
    assert choice.options(cluster) is None
    assert choice.from_json(choice.to_json(None)) is None


def test_settings_are_taken_as_an_object_too() -> None:
    settings = KubernetesOptions(image="i", groups=(WorkerGroup(name="spot", spot=True),))
    made = DistributedTuner(
        examples=channel.Channel(type=standard_artifacts.Examples), tuner_fn="a.b", cluster=settings
    )
    assert choice.from_json(made.exec_properties[keys.CLUSTER]) == settings
