"""The Kubernetes objects of a search, as pure functions from a `Plan` to dicts.

Dicts rather than the client's models: those of kubernetes 12, which the pipeline's packages require, know neither
podFailurePolicy nor Indexed Jobs.

The chief's Job owns the other objects, so that all are deleted with it; the Job is owned by whatever the caller names,
the pipeline's step or workflow. A Job must exist before it can own anything, and its pod needs what it owns: hence it
is created suspended.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.cluster.kube.manifests import end_rules
from custom_components.distributed_tuner.cluster.kube.manifests.names import CHIEF, SEARCH_LABEL, WORKER
from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
from custom_components.distributed_tuner.cluster.kube.manifests.pod_template import (
    CONTAINER,
    CREDENTIALS_DIR,
    pod_template,
)
from custom_components.distributed_tuner.cluster.kube.settings.groups import WorkerGroup
from custom_components.distributed_tuner.errors import ExitCode
from custom_components.distributed_tuner.host import variables

Manifest = dict[str, Any]

DIRECTORY_ANNOTATION = "distributed-tuner/directory"
DIRECTORY_ID_ANNOTATION = "distributed-tuner/directory-id"
ATTEMPT_ANNOTATION = "distributed-tuner/attempt"
SETTINGS_ANNOTATION = "distributed-tuner/settings"
KEPT_ANNOTATION = "distributed-tuner/kept-on-failure"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

# The caller decides when to give up a search, not the Job's controller.
_NO_LIMIT = 1_000_000
_DIGEST_LENGTH = 16
RESTART_CODES = [int(ExitCode.FAULT), int(ExitCode.ABANDONED), int(ExitCode.CHIEF_LOST), int(ExitCode.PREEMPTED)]
FATAL_CODES = sorted(end_rules.FATAL_CODES)


def chief_job(plan: Plan, owners: Sequence[Mapping[str, Any]] = ()) -> Manifest:
    """The chief's Job, suspended. It is Indexed, with one index, because `forgiveness` works only then."""
    wanted = _chief_spec(dataclasses.replace(plan, attempt=""))
    manifest = _job(plan, plan.search.chief, CHIEF, None, plan.options.chief.queue, _chief_spec(plan), owners, wanted)
    manifest["metadata"]["annotations"][ATTEMPT_ANNOTATION] = plan.attempt
    if plan.directory_id:
        manifest["metadata"]["annotations"][DIRECTORY_ID_ANNOTATION] = plan.directory_id
    return manifest


def _chief_spec(plan: Plan) -> Manifest:
    settings = plan.options.chief
    template = pod_template(
        plan,
        settings,
        component=CHIEF,
        group=None,
        secret=plan.search.chief,
        arguments=[
            *("chief", plan.root),
            *("--credentials", CREDENTIALS_DIR),
            *("--port", str(plan.options.port)),
            *("--attempt", plan.attempt),
            *("--lock-seconds", f"{plan.lock_seconds:g}"),
            *("--linger-seconds", f"{plan.options.linger_seconds:g}"),
            *("--deserted-seconds", f"{plan.options.deserted_seconds:g}"),
        ],
        env={**_ENV, variables.VISIBLE_GPUS: "-1"},
        annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
    )
    template["spec"]["containers"][0]["ports"] = [{"name": "grpc", "containerPort": plan.options.port}]
    return {
        "suspend": True,
        "completionMode": "Indexed",
        "completions": 1,
        "parallelism": 1,
        "backoffLimitPerIndex": _NO_LIMIT,
        **_job_rules(plan, fatal="FailJob"),
        "template": template,
    }


def worker_job(plan: Plan, group: WorkerGroup, count: int, owners: Sequence[Mapping[str, Any]] = ()) -> Manifest:
    """The Indexed Job of a group of `count` workers; suspended if 0, since a Job without completions is complete.

    A worker that gave up for good fails its index only: the others finish their epochs first, and the search learns of
    it from the worker itself and from its cluster.

    Args:
      plan: the search.
      group: of workers.
      count: how many workers it has.
      owners: the Job's ownerReferences.
    """
    template = pod_template(
        plan,
        group,
        component=WORKER,
        group=group.name,
        secret=plan.search.worker_secret,
        arguments=[
            *("worker", plan.root),
            *("--credentials", CREDENTIALS_DIR),
            *("--chief", plan.chief_address),
            *("--group", group.name),
            *(("--gpus", str(group.gpu.count)) if group.gpu else ()),
        ],
        env={**_ENV, **(_GPU_ENV if group.gpu else {})},
        annotations={},
    )
    spec = {
        **({"suspend": True} if group.queue or not count else {}),
        "completionMode": "Indexed",
        "completions": max(1, count),
        "parallelism": max(1, count),
        "backoffLimitPerIndex": _NO_LIMIT,
        **_job_rules(plan, fatal="FailIndex"),
        "template": template,
    }
    return _job(plan, plan.search.group(group.name), WORKER, group.name, group.queue, spec, owners, spec)


def service(plan: Plan, owners: Sequence[Mapping[str, Any]] = ()) -> Manifest:
    """The Service that gives the chief one address, the same for each of its pods."""
    labels = {SEARCH_LABEL: plan.search.name, "app.kubernetes.io/component": CHIEF}
    port = {"name": "grpc", "port": plan.options.port, "targetPort": "grpc", "appProtocol": "grpc"}
    # A pod whose node has not been heard from for a while counts as not ready, yet serves all the same.
    spec = {"type": "ClusterIP", "selector": labels, "ports": [port], "publishNotReadyAddresses": True}
    return _object(plan, "v1", "Service", plan.search.chief, CHIEF, owners, {"spec": spec})


def network_policy(plan: Plan, owners: Sequence[Mapping[str, Any]] = ()) -> Manifest:
    """A NetworkPolicy: workers and the pipeline's step may reach the chief's port, and nothing else may."""
    workers = {"podSelector": {"matchLabels": {SEARCH_LABEL: plan.search.name}}}
    callers = dict(plan.callers) if plan.callers is not None else {"podSelector": {}}
    spec = {
        "podSelector": {"matchLabels": {SEARCH_LABEL: plan.search.name, "app.kubernetes.io/component": CHIEF}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [workers, callers], "ports": [{"protocol": "TCP", "port": plan.options.port}]}],
    }
    policy = _object(plan, "networking.k8s.io/v1", "NetworkPolicy", plan.search.chief, CHIEF, owners, {"spec": spec})
    return _with_settings(policy, spec)


def secret(plan: Plan, component: str, files: Mapping[str, str], owners: Sequence[Mapping[str, Any]] = ()) -> Manifest:
    """The Secret with the files that chief or workers find in their credentials folder.

    Args:
      plan: the search.
      component: `names.CHIEF` or `names.WORKER`.
      files: their contents, by file name.
      owners: the Secret's ownerReferences.
    """
    name = plan.search.chief if component == CHIEF else plan.search.worker_secret
    body = {"type": "Opaque", "immutable": True, "stringData": dict(files)}
    return _object(plan, "v1", "Secret", name, component, owners, body)


def same_settings(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether an object was made from the same settings as this manifest, ignoring what the server and others added.

    Args:
      found: the object on the API server.
      wanted: the manifest.
    """
    digests = [one["metadata"].get("annotations", {}).get(SETTINGS_ANNOTATION) for one in (found, wanted)]
    return digests[0] == digests[1]


def owner_reference(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the garbage collector delete an object together with this one.

    It does not block the owner's deletion: that would require a right to the owner's finalizers.
    """
    metadata = manifest["metadata"]
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": False,
        "blockOwnerDeletion": False,
    }


_ENV = {
    # A crash while Python is still importing leaves its stack too; later `crash.tell` takes over.
    "PYTHONFAULTHANDLER": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "TF_CPP_MIN_LOG_LEVEL": "1",
}
# Where GKE mounts the GPU driver of a node; the image has CUDA itself, but cannot have the driver.
_GPU_ENV = {"LD_LIBRARY_PATH": "/usr/local/nvidia/lib64"}


def _job_rules(plan: Plan, *, fatal: str) -> dict[str, Any]:
    return {
        "ttlSecondsAfterFinished": plan.options.ttl_seconds,
        # A second process with the same id would only be in the way of the first one while that is ending.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {
                    "action": fatal,
                    "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": FATAL_CODES},
                },
                # Eviction, preemption, a drained or lost node: not its fault, and not counted in the backoff limit.
                {"action": "Ignore", "onPodConditions": [{"type": end_rules.DISRUPTED, "status": "True"}]},
                {
                    "action": "Ignore",
                    "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": RESTART_CODES},
                },
            ]
        },
    }


def _job(
    plan: Plan,
    name: str,
    component: str,
    group: str | None,
    queue: str | None,
    spec: Manifest,
    owners: Sequence[Mapping[str, Any]],
    wanted: Manifest,
) -> Manifest:
    manifest = _object(plan, "batch/v1", "Job", name, component, owners, {"spec": spec}, group)
    manifest["metadata"]["annotations"][DIRECTORY_ANNOTATION] = plan.root
    if queue:
        manifest["metadata"]["labels"][QUEUE_LABEL] = queue
    return _with_settings(manifest, wanted)


def _with_settings(manifest: Manifest, spec: Mapping[str, Any]) -> Manifest:
    """Adds a digest of the settings.

    The number of members is left out: the Job's queue or `scale` may change it later.
    """
    settings = {key: value for key, value in spec.items() if key not in ("suspend", "completions", "parallelism")}
    text = json.dumps([manifest["metadata"]["labels"], settings], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
    manifest["metadata"]["annotations"][SETTINGS_ANNOTATION] = digest
    return manifest


def _object(
    plan: Plan,
    version: str,
    kind: str,
    name: str,
    component: str,
    owners: Sequence[Mapping[str, Any]],
    body: Manifest,
    group: str | None = None,
) -> Manifest:
    metadata: Manifest = {
        "name": name,
        "namespace": plan.namespace,
        "labels": plan.search.labels(component, group),
        "annotations": plan.search.annotations(),
    }
    if owners:
        metadata["ownerReferences"] = [dict(owner) for owner in owners]
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}
