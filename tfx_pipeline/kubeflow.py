"""What the steps of the compiled workflow have that TFX does not give them: their program and the search's volumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import kubernetes.client
from kfp import dsl
from tfx.orchestration.kubeflow import kubeflow_dag_runner

from custom_components.distributed_tuner.cluster.kube import options as kube_options
from custom_components.distributed_tuner.cluster.kube.options import KubernetesOptions
from custom_components.distributed_tuner.cluster.kube.volumes import Volume

# Each pod of the search has its own of these, and a step needs none.
_SCRATCH = {"emptyDir", "ephemeral"}

Change = Callable[[dsl.ContainerOp], None]


def changes(cluster: Mapping[str, Any]) -> list[Change]:
    """Changes to each step; with TFX's own.

    Args:
      cluster: the component's argument. The pipeline root is on one of its volumes, and every step uses it.
    """
    own: list[Change] = []
    if cluster["kind"] == kube_options.KIND:
        volumes = KubernetesOptions.from_mapping(cluster).volumes
        own = [_mounting(volume) for volume in volumes if not _SCRATCH & set(volume.source)]
    return [*kubeflow_dag_runner.get_default_pipeline_operator_funcs(), _run_as_our_step, *own]


def _run_as_our_step(step: dsl.ContainerOp) -> None:
    step.command = ["python", "-m", "tfx_pipeline.step"]


def _mounting(volume: Volume) -> Change:
    mount = kubernetes.client.V1VolumeMount(
        name=volume.name,
        mount_path=volume.mount_path,
        read_only=volume.read_only or None,
        sub_path=volume.sub_path or None,
    )

    def change(step: dsl.ContainerOp) -> None:
        step.add_volume(_model({"name": volume.name, **volume.source}))
        step.container.add_volume_mount(mount)

    return change


def _model(volume: Mapping[str, Any]) -> kubernetes.client.V1Volume:
    """A volume in Kubernetes' words as the client's object, which kfp asks for."""

    class Answer:
        data = json.dumps(volume)

    return kubernetes.client.ApiClient().deserialize(Answer, "V1Volume")
