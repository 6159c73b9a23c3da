"""The pods of chief and workers, within the restricted Pod Security Standard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
from custom_components.distributed_tuner.cluster.kube.settings.groups import PodSettings, Toleration
from custom_components.distributed_tuner.cluster.kube.settings.volumes import Volume
from custom_components.distributed_tuner.host import variables

CONTAINER = "main"
CREDENTIALS_DIR = "/etc/distributed-tuner"
SPOT_LABEL = "cloud.google.com/gke-spot"
ACCELERATOR_LABEL = "cloud.google.com/gke-accelerator"
GPU_RESOURCE = "nvidia.com/gpu"
# The pod's name, unlike a process id, differs between two processes with the same worker id.

_MODULE = "custom_components.distributed_tuner"
_HOME = "/home/tuner"
# Tuners keep small files there; large ones belong on a volume.
SCRATCH_FOLDERS = {"tmp": "/tmp", "home": _HOME}
SCRATCH_LIMIT = "2Gi"


def pod_template(
    plan: Plan,
    settings: PodSettings,
    *,
    component: str,
    group: str | None,
    secret: str,
    arguments: Sequence[str],
    env: Mapping[str, str],
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    """A Job's `template`.

    Args:
      plan: the search.
      settings: those of this chief or group.
      component: `names.CHIEF` or `names.WORKER`.
      group: the workers' group.
      secret: the name of the Secret mounted at `CREDENTIALS_DIR`.
      arguments: for `python -m custom_components.distributed_tuner`.
      env: variables set by this component; the user's override them.
      annotations: set by this component.
    """
    options = plan.options
    volumes = (*options.volumes, *settings.volumes)
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": settings.image or options.image,
        "command": ["python", "-m", _MODULE, *arguments],
        "env": [
            *({"name": name, "value": value} for name, value in sorted({**env, **settings.env}.items())),
            {"name": "HOME", "value": _HOME},
            {"name": variables.PROCESS, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "resources": _resources(settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # A traceback at the end of the log becomes the termination message of a failed container.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "credentials", "mountPath": CREDENTIALS_DIR, "readOnly": True},
            *({"name": name, "mountPath": folder} for name, folder in SCRATCH_FOLDERS.items()),
            *(_mount(volume) for volume in volumes),
        ],
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": math.ceil(plan.grace_seconds),
        "serviceAccountName": settings.service_account or options.service_account,
        # Neither chief nor worker calls the API server.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": options.run_as_user,
            "runAsGroup": options.run_as_user,
            "fsGroup": options.run_as_user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": _tolerations(plan, settings),
        "containers": [container],
        "volumes": [
            {"name": "credentials", "secret": {"secretName": secret, "defaultMode": 0o400}},
            *({"name": name, "emptyDir": {"sizeLimit": SCRATCH_LIMIT}} for name in SCRATCH_FOLDERS),
            *({"name": volume.name, **volume.source} for volume in volumes),
        ],
    }
    if selector := _node_selector(settings):
        spec["nodeSelector"] = selector
    if settings.priority_class:
        spec["priorityClassName"] = settings.priority_class
    if options.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    metadata = {
        "labels": {**settings.labels, **plan.search.labels(component, group)},
        "annotations": {**annotations, **settings.annotations},
    }
    return {"metadata": metadata, "spec": spec}


def _resources(settings: PodSettings) -> dict[str, Any]:
    requests = {"cpu": settings.cpu, "memory": settings.memory}
    # No CPU limit unless asked for: idle CPUs help whoever is there, and throttling helps nobody.
    limits = {"memory": settings.memory, **({"cpu": settings.cpu_limit} if settings.cpu_limit else {})}
    if settings.ephemeral_storage:
        requests["ephemeral-storage"] = limits["ephemeral-storage"] = settings.ephemeral_storage
    if settings.gpu:
        limits[GPU_RESOURCE] = str(settings.gpu.count)
    return {"requests": requests, "limits": limits}


def _node_selector(settings: PodSettings) -> dict[str, str]:
    selector = {}
    if settings.spot:
        selector[SPOT_LABEL] = "true"
    if settings.gpu and settings.gpu.type:
        selector[ACCELERATOR_LABEL] = settings.gpu.type
    return {**selector, **settings.node_selector}


def _tolerations(plan: Plan, settings: PodSettings) -> list[dict[str, Any]]:
    own = [
        # Without these a pod stays five minutes on an unreachable node.
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": plan.options.node_loss_seconds,
        }
        for state in ("not-ready", "unreachable")
    ]
    if settings.spot:
        own.append({"key": SPOT_LABEL, "operator": "Equal", "value": "true", "effect": "NoSchedule"})
    if settings.gpu:
        own.append({"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"})
    return own + [_toleration(toleration) for toleration in settings.tolerations]


def _toleration(toleration: Toleration) -> dict[str, Any]:
    return {key: value for key, value in toleration.dict().items() if value is not None}


def _mount(volume: Volume) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": volume.name, "mountPath": volume.mount_path}
    if volume.read_only:
        mount["readOnly"] = True
    if volume.sub_path:
        mount["subPath"] = volume.sub_path
    return mount
