"""Where the pipeline's step itself runs: its namespace, its pod, and the owners of its search."""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.cluster.kube.api import kubeconfig
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.connection import SERVICE_ACCOUNT_DIR
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import owner_reference
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions
from custom_components.distributed_tuner.options import SearchOptions

_LOG = logging.getLogger(__name__)

DEFAULT_NAMESPACE = "default"

# The variable's name in Kubeflow Pipelines, and in pods that set it themselves. Otherwise the host name usually is the
# pod's name, but not in an Indexed Job, nor if the name has more than 63 characters.
_POD_VARIABLES = ("KFP_POD_NAME", "POD_NAME", "HOSTNAME")
# A label that Kubernetes adds to every namespace.
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_API_SERVER = "kubernetes.default.svc"
_WORKFLOW_LABEL = "workflows.argoproj.io/workflow"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a search is started from.

    Attributes:
      owners: ownerReferences of the search: it is deleted with the last of them.
      callers: the step's pod, and its retries too, as a NetworkPolicy's peer; None if any pod of the search's namespace
        may be the step: outside a pod, and if only its name distinguishes the step's pod from others.
    """

    owners: tuple[Mapping[str, Any], ...] = ()
    callers: Mapping[str, Any] | None = None


def own_namespace(folder: Path = SERVICE_ACCOUNT_DIR) -> str | None:
    """The namespace of the pod this process runs in, None outside a pod."""
    try:
        return (folder / "namespace").read_text("utf-8").strip() or None
    except OSError:
        return None


def plan(options: KubernetesOptions, search: SearchOptions, name: SearchName, root: Path | str) -> Plan:
    """Plans a new attempt at a search.

    Args:
      options: where and how it runs; without a namespace, the step's own is used, or the kubeconfig's.
      search: leases, limits and deadlines.
      name: the search's name.
      root: its directory: a path that is the same here and in its pods, or a gs:// address.
    """
    return Plan(
        search=name,
        namespace=options.namespace or own_namespace() or context_namespace(),
        root=str(root),
        options=options,
        grace_seconds=search.grace_seconds,
        # Workers wait as long for a chief.
        lock_seconds=search.chief_timeout_seconds,
        attempt=secrets.token_hex(8),
    )


def warn_outside(chief: str, seconds: float, namespace: str | None) -> None:
    """Warns a step that will not reach its chief: the chief's address is valid in the cluster's network only.

    Args:
      chief: its `host:port`.
      seconds: how long the step will try to call it.
      namespace: of the pod this process runs in, None outside a pod.
    """
    if namespace is not None:
        return
    try:
        # The chief's own name does not exist yet; this one exists in every cluster, and has the same ending.
        socket.getaddrinfo(_API_SERVER, None)
    except OSError:
        _LOG.warning(
            "this step runs in no pod, and the cluster's names are not known here (%s): it will not reach the chief at "
            "%s, and will give up after %g s. Start it in a pod of the cluster, or connect this machine to the "
            "cluster's network and DNS",
            _API_SERVER,
            chief,
            seconds,
        )


def context_namespace() -> str:
    """The namespace of the kubeconfig's current context.

    Raises:
      ClusterError: the kubeconfig cannot be used.
    """
    return kubeconfig.context_namespace() or DEFAULT_NAMESPACE


def find(
    api: KubernetesApi, namespace: str, environment: Mapping[str, str] = os.environ, own: str | None = None
) -> Place:
    """Looks up the step's own pod.

    Args:
      api: the API server.
      namespace: where the search will be; an owner must be in the same one.
      environment: holds the pod's name.
      own: the step's namespace.

    Raises:
      ClusterError: the API server refused.
    """
    name = next((environment[key] for key in _POD_VARIABLES if environment.get(key)), None)
    if own is not None and own != namespace:
        return Place(callers=_elsewhere(api, own, name))
    if name is None or own is None:
        return Place()
    try:
        pod = api.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
    except ApiError as error:
        if error.code == 404:
            _LOG.warning(
                "no pod of namespace %s is called %s, as this step seems to be, so the search belongs to nobody: it "
                "stays when the step is deleted. Set POD_NAME in the step's pod, from metadata.name",
                namespace,
                name,
            )
            return Place()
        raise
    return of_pod(pod)


def of_pod(pod: Mapping[str, Any]) -> Place:
    """Owners and labels for a search that this pod starts: the same ones that its retry will have."""
    metadata = pod["metadata"]
    # The workflow outlives the pod of one attempt at a step.
    owners = [
        {**owner, "controller": False, "blockOwnerDeletion": False} for owner in metadata.get("ownerReferences", ())
    ]
    workflow = _workflow(pod)
    return Place(
        owners=tuple(owners) or (owner_reference({"apiVersion": "v1", "kind": "Pod", **pod}),),
        callers={"podSelector": workflow} if workflow else None,
    )


def _elsewhere(api: KubernetesApi, own: str, name: str | None) -> dict[str, Any]:
    """The peer of a step in another namespace: its workflow, or its whole namespace if the workflow is unknown."""
    workflow: dict[str, Any] = {}
    try:
        if name is not None:
            workflow = _workflow(api.get(f"/api/v1/namespaces/{own}/pods/{name}"))
    except ApiError as error:
        # The Role belongs to the search's namespace, and need not cover the step's.
        if error.code not in (403, 404):
            raise
        _LOG.info("the step's pod in namespace %s is not shown: all of that namespace may reach the chief", own)
    return {"namespaceSelector": {"matchLabels": {_NAMESPACE_LABEL: own}}, "podSelector": workflow}


def _workflow(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The selector for the pods of the workflow that a pod belongs to; empty, which selects all pods, without one."""
    labels = pod["metadata"].get("labels", {})
    return {"matchLabels": {_WORKFLOW_LABEL: labels[_WORKFLOW_LABEL]}} if _WORKFLOW_LABEL in labels else {}
