"""What TFX does not give the steps of the compiled workflow: our entry point and the search's volumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import kubernetes.client
from kfp import dsl
from tfx.orchestration.kubeflow import kubeflow_dag_runner

from custom_components.distributed_tuner import KubernetesOptions, Volume
from tfx_pipeline.errors import SettingsError
from tfx_pipeline.location import Location
from tfx_pipeline.settings import Settings, Source

# Each pod of the search has its own volume of these kinds, and a step needs none.
_SCRATCH = {"emptyDir", "ephemeral"}

# MAX_ARG_STRLEN of Linux, less the final zero and room for what Argo fills in.
_MAX_ARGUMENT_BYTES = 131_071 - 4_096

Change = Callable[[dsl.ContainerOp], None]


def changes(cluster: KubernetesOptions | None) -> list[Change]:
    """Changes to each step, including TFX's own.

    Args:
      cluster: the component's argument, None for processes of the tuner's step. The pipeline root is on one of its
        volumes, which every step uses.
    """
    volumes = cluster.volumes if cluster is not None else ()
    own = [_mounting(volume) for volume in volumes if not _SCRATCH & set(volume.source)]
    return [*kubeflow_dag_runner.get_default_pipeline_operator_funcs(), _run_as_our_step, _check_length, *own]


def check(settings: Settings) -> None:
    """Checks that the compiled workflow refers to nothing that exists on this machine only.

    Raises:
      SettingsError: names each setting with such a value, and what to use instead.
    """
    cluster = settings.cluster_argument
    volumes = cluster.volumes if cluster is not None else ()
    mounted = [PurePosixPath(volume.mount_path) for volume in volumes if not _SCRATCH & set(volume.source)]
    shared = [PurePosixPath(volume.mount_path) for volume in volumes if volume.shared]
    instead = "gs://…, or with CLUSTER=kubernetes a path on one of the volumes in CLUSTER_OPTIONS"
    wrong = []
    if settings.pipeline_root is None:
        wrong.append(f"PIPELINE_ROOT is not set: its default is on this machine; give {instead}")
    elif not _reached(settings.pipeline_root, shared):
        wrong.append(f"PIPELINE_ROOT={settings.pipeline_root}: the steps do not share such a folder; give {instead}")
    if settings.source is Source.CSV:
        if settings.data is None:
            wrong.append(f"DATA is not set: the sample is made on this machine; give {instead}, or SOURCE=bigquery")
        elif PurePosixPath(settings.data) in mounted:
            wrong.append(f"DATA={settings.data}: is the volume; name the file in it, such as {settings.data}/trips.csv")
        elif not _reached(settings.data, mounted):
            wrong.append(f"DATA={settings.data}: the steps do not see that file; give {instead}")
    if wrong:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise SettingsError(f"ENGINE=kubeflow: the steps run in containers, on other machines:\n{lines}")


def _reached(place: Location, mounted: Sequence[PurePosixPath]) -> bool:
    return place.remote or any(PurePosixPath(place).is_relative_to(path) for path in mounted)


def _check_length(step: dsl.ContainerOp) -> None:
    longest = max(len(str(argument).encode()) for argument in step.arguments)
    if longest > _MAX_ARGUMENT_BYTES:
        raise SettingsError(
            f"ENGINE=kubeflow: the step {step.name} is described by {longest:,} bytes, and Linux starts no program "
            f"with an argument of more than {_MAX_ARGUMENT_BYTES:,}: shorten what it is given, such as the query or "
            "CLUSTER_OPTIONS"
        )


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
    """Converts a volume from Kubernetes' JSON to the client's object, which kfp requires."""

    class Answer:
        data = json.dumps(volume)

    return kubernetes.client.ApiClient().deserialize(Answer, "V1Volume")
