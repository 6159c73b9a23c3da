"""The objects of a search on its API server: their paths, and operations on existing ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api.call import Object
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError
from custom_components.distributed_tuner.cluster.kube.manifests import names
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import QUEUE_LABEL
from custom_components.distributed_tuner.cluster.kube.manifests.pod_template import CONTAINER
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis

_LOG = logging.getLogger(__name__)

# How long a deleted object may take to be gone, and how often to check.
GONE_SECONDS = 120.0
LOOK_SECONDS = 0.2

_LOG_BYTES = 1 << 20
_LOG_PATIENCE_SECONDS = 2.0
_PREFIXES = {"Job": "/apis/batch/v1", "NetworkPolicy": "/apis/networking.k8s.io/v1"}
_PLURALS = {
    "Job": "jobs",
    "Pod": "pods",
    "Service": "services",
    "Secret": "secrets",
    "NetworkPolicy": "networkpolicies",
    "Event": "events",
}
# In the order of their removal. Secrets are addressed by name: the right to list them is the right to read them all.
_LISTED = ("Job", "Pod", "Service", "NetworkPolicy")


def path(kind: str, namespace: str, name: str | None = None) -> str:
    """The API's path of an object, or of the collection.

    Args:
      kind: of the object, such as `Job`.
      namespace: of the object.
      name: of the object; None for the collection.
    """
    collection = f"{_PREFIXES.get(kind, '/api/v1')}/namespaces/{namespace}/{_PLURALS[kind]}"
    return f"{collection}/{name}" if name else collection


def find(api: KubernetesApi, target: str, patience_seconds: float | None = None) -> Object | None:
    """An object, None if there is none.

    Args:
      api: the API server.
      target: its path.
      patience_seconds: overrides the client's own.

    Raises:
      ClusterError: the API server refused or did not answer.
    """
    try:
        return api.get(target, patience_seconds=patience_seconds)
    except ApiError as error:
        # A missing namespace contains nothing, but that is not what was asked.
        if error.code == 404 and "namespaces " not in error.message:
            return None
        raise


def read_log(api: KubernetesApi, namespace: str, pod: str, lines: int) -> str:
    """The last lines of a pod's log: fewer if they exceed a mebibyte.

    Args:
      api: the API server.
      namespace: of the pod.
      pod: the pod's name.
      lines: how many.

    Raises:
      ClusterError: the API server refused, or the pod has no log.
    """
    while True:
        text = api.text(
            f"{path('Pod', namespace, pod)}/log",
            patience_seconds=_LOG_PATIENCE_SECONDS,
            container=CONTAINER,
            tailLines=lines,
            limitBytes=_LOG_BYTES,
        )
        if len(text.encode()) < _LOG_BYTES:
            return text
        if lines == 1:
            return f"{text}\n[the rest of this line is left out]\n"
        # The server counts bytes from the first of these lines, so it is the last ones that are missing.
        lines = max(1, lines // 4)


def no_such_search(api: KubernetesApi, namespace: str, search: str) -> ClusterError:
    """The error for a search that does not exist, or whose namespace does not.

    Args:
      api: the API server.
      namespace: where the search was looked for.
      search: its name.
    """
    try:
        # A namespace that does not exist gives an empty list, too.
        api.get(f"/api/v1/namespaces/{namespace}", patience_seconds=0.0)
    except ClusterError as error:
        if isinstance(error, ApiError) and error.code == 404:
            return error
        # Usually the right to ask is missing: a Role does not cover namespaces.
        _LOG.debug("whether there is a namespace %s is not known", namespace, exc_info=True)
    return ClusterError(
        f"no search {search} runs in namespace {namespace}. Those that run: "
        f"kubectl get jobs --namespace {namespace} --label-columns {names.SEARCH_LABEL}"
    )


def scale(api: KubernetesApi, namespace: str, search: str, group: str, count: int) -> None:
    """Changes how many workers a group has. Those with the highest indexes are stopped first, by SIGTERM.

    Args:
      api: the API server.
      namespace: where the search runs.
      search: the name that its objects are labelled with.
      group: of workers.
      count: how many it should have.

    Raises:
      ClusterError: there is no such search or group, its queue sets the number, or the API server refused.
    """
    selector = f"{names.selector(search)},{names.GROUP_LABEL}"
    jobs = {
        job["metadata"]["labels"][names.GROUP_LABEL]: job
        for job in api.get(path("Job", namespace), labelSelector=selector)["items"]
    }
    if not jobs:
        raise no_such_search(api, namespace, search)
    if group not in jobs:
        raise ClusterError(f"search {search} has no group {group}; it has {', '.join(sorted(jobs))}")
    job = jobs[group]
    if diagnosis.finished(job):
        raise ClusterError(f"group {group} of search {search} has ended; it cannot be scaled any more")
    if count == 0 and QUEUE_LABEL in job["metadata"]["labels"]:
        raise ClusterError(
            f"group {group} is in a Kueue queue, which decides when it runs: it needs at least one worker"
        )
    # A Job with no completions would be complete for ever.
    spec: Object = {"completions": count, "parallelism": count} if count else {}
    if QUEUE_LABEL not in job["metadata"]["labels"]:
        spec["suspend"] = count == 0
    api.patch(path("Job", namespace, job["metadata"]["name"]), {"spec": spec})


def remove(api: KubernetesApi, namespace: str, search: str, grace_seconds: float) -> None:
    """Removes everything of a search, workers before the chief, and checks that nothing is left.

    Args:
      api: the API server.
      namespace: where the search runs.
      search: the name that its objects are labelled with.
      grace_seconds: how long its pods may take to end.

    Raises:
      ClusterError: something is left, or the API server refused; the message has the command that removes it.
    """
    try:
        _remove(api, namespace, search, grace_seconds)
    except ClusterError as error:
        kinds = ",".join(_PLURALS[kind] for kind in (*_LISTED, "Secret"))
        raise ClusterError(
            f"search {search} could not be removed from namespace {namespace}: {error}. What is left goes with "
            f"kubectl delete {kinds} --namespace {namespace} --selector {names.selector(search)}"
        ) from error


def _remove(api: KubernetesApi, namespace: str, search: str, grace_seconds: float) -> None:
    selector = names.selector(search)
    began = time.monotonic()
    workers, chief = f"{selector},{names.GROUP_LABEL}", selector
    # Workers first: they give their trials back to the chief.
    for each, share in ((workers, grace_seconds / 2), (chief, grace_seconds)):
        _delete_all(api, "Job", namespace, each)
        end_pods(api, namespace, each, began + share)
    for kind in ("Service", "NetworkPolicy"):
        _delete_all(api, kind, namespace, selector)
    for name in names.secrets(search):
        api.delete(path("Secret", namespace, name))
    deadline = time.monotonic() + GONE_SECONDS
    left = _left(api, namespace, search)
    while left and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        left = _left(api, namespace, search)
    if left:
        raise ClusterError(f"there is still {', '.join(left)}")


def end_pods(api: KubernetesApi, namespace: str, selector: str, until: float) -> None:
    """Waits for the pods of a Job that is being deleted; those still there at `until` are deleted without grace.

    A pod on a lost node would otherwise stay as long as the node object.

    Args:
      api: the API server.
      namespace: of the pods.
      selector: a label selector.
      until: the deadline, on `time.monotonic`.
    """
    collection = path("Pod", namespace)
    while names_left := _names(api.get(collection, labelSelector=selector)["items"]):
        if time.monotonic() >= until:
            for name in names_left:
                api.delete(f"{collection}/{name}", grace_seconds=0)
            return
        time.sleep(LOOK_SECONDS)


def _delete_all(api: KubernetesApi, kind: str, namespace: str, selector: str) -> None:
    for name in _names(api.get(path(kind, namespace), labelSelector=selector)["items"]):
        api.delete(path(kind, namespace, name), propagation="Foreground" if kind == "Job" else "Background")


def _left(api: KubernetesApi, namespace: str, search: str) -> list[str]:
    selector = names.selector(search)
    listed = [
        f"{kind} {name}"
        for kind in _LISTED
        for name in _names(api.get(path(kind, namespace), labelSelector=selector)["items"])
    ]
    secrets = [name for name in names.secrets(search) if find(api, path("Secret", namespace, name)) is not None]
    return [*listed, *(f"Secret {name}" for name in secrets)]


def _names(items: Iterable[Object]) -> list[str]:
    return [item["metadata"]["name"] for item in items]
