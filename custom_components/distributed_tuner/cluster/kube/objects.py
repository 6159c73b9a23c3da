"""Creates, adopts and removes the objects of one search, in an order that survives being killed anywhere in it."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner import credentials
from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube import diagnosis, manifests, names
from custom_components.distributed_tuner.cluster.kube.api import KubernetesApi, Object
from custom_components.distributed_tuner.cluster.kube.api_errors import ApiError
from custom_components.distributed_tuner.cluster.kube.manifests import DIRECTORY_ANNOTATION, QUEUE_LABEL
from custom_components.distributed_tuner.cluster.kube.plan import Plan
from custom_components.distributed_tuner.cluster.kube.pod_template import CONTAINER
from custom_components.distributed_tuner.credentials import Access

_LOG = logging.getLogger(__name__)

_GONE_SECONDS = 120.0
_LOOK_SECONDS = 0.2
_ATTEMPTS = 5
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
# In the order of their removal. Secrets are known by name: whoever may list them reads them all.
_LISTED = ("Job", "Pod", "Service", "NetworkPolicy")


def path(kind: str, namespace: str, name: str | None = None) -> str:
    """The API's path of an object, or of the collection."""
    collection = f"{_PREFIXES.get(kind, '/api/v1')}/namespaces/{namespace}/{_PLURALS[kind]}"
    return f"{collection}/{name}" if name else collection


class SearchObjects:
    """The objects of one search on one API server."""

    def __init__(self, api: KubernetesApi, plan: Plan, owners: Sequence[Mapping[str, Any]]) -> None:
        self._api = api
        self._plan = plan
        self._owners = owners

    def ensure(self, counts: Mapping[str, int]) -> Access:
        """Creates what is not there and adopts what is; a search that is over is replaced by a new one.

        Args:
          counts: how many workers each group has; a group that is there keeps its own number, since somebody may have
            scaled it.

        Returns:
          What the chief asks of its callers.

        Raises:
          ClusterError: the API server refused, or another search has these names.
        """
        for _ in range(_ATTEMPTS):
            chief = self._ensure_chief()
            access = self._ensure_secrets(chief)
            if access is not None:
                break
            # The credentials of a chief that runs are gone: it cannot be spoken to any more.
            self._replace(chief)
        else:
            raise ClusterError(f"the Secrets of search {self._plan.search.name} vanish as soon as they are made")
        owners = [manifests.owner_reference(chief)]
        self._ensure(manifests.service(self._plan, owners))
        self._ensure(manifests.network_policy(self._plan, owners))
        if chief["spec"].get("suspend") and QUEUE_LABEL not in chief["metadata"]["labels"]:
            self._api.patch(self._path("Job", self._plan.search.chief), {"spec": {"suspend": False}})
        for group in self._plan.options.groups:
            self._ensure(manifests.worker_job(self._plan, group, counts[group.name], owners))
        return access

    def scale(self, group: str, count: int) -> None:
        """Changes how many workers a group has. Those with the highest numbers go first, and are told to stop.

        Raises:
          ClusterError: there is no such group, or the API server refused.
        """
        scale(self._api, self._plan.namespace, self._plan.search.name, group, count)

    def remove(self, grace_seconds: float) -> None:
        """Removes all, workers before the chief, and looks that nothing is left.

        Raises:
          ClusterError: something is left.
        """
        remove(self._api, self._plan.namespace, self._plan.search.name, grace_seconds)

    def _ensure_chief(self) -> Object:
        name = self._plan.search.chief
        deadline = time.monotonic() + _GONE_SECONDS
        while time.monotonic() < deadline:
            found = self._find("Job", name)
            if found is None:
                created = self._create(manifests.chief_job(self._plan, self._owners))
                if created is not None:
                    return created
                continue
            if found["metadata"].get("deletionTimestamp"):
                self._wait_until_gone(found)
                continue
            self._check_same_search(found)
            if not diagnosis.finished(found):
                _LOG.info("search %s runs already and is gone on with", self._plan.search.name)
                return found
            self._replace(found)
        raise ClusterError(f"the Job {name} in namespace {self._plan.namespace} can be neither made nor adopted")

    def _check_same_search(self, chief: Object) -> None:
        directory = chief["metadata"].get("annotations", {}).get(DIRECTORY_ANNOTATION)
        if directory != self._plan.root:
            raise ClusterError(
                f"a search of the same name, {self._plan.search.name}, runs in namespace {self._plan.namespace} "
                f"already, in the directory {directory} and not {self._plan.root}. Wait for it, or use another run id"
            )

    def _ensure_secrets(self, chief: Object) -> Access | None:
        """The search's credentials, made if need be; None where a running chief has lost them."""
        owners = [manifests.owner_reference(chief)]
        found = [self._find("Secret", name) for name in names.secrets(self._plan.search.name)]
        if all(secret is not None and _owned(secret, chief) for secret in found):
            data = {key: base64.b64decode(value) for key, value in (found[1] or {}).get("data", {}).items()}
            return Access(data[credentials.TOKEN_FILE].decode(), data[credentials.AUTHORITY_FILE])
        if chief.get("status", {}).get("startTime"):
            return None
        # Half of a pair that a step left that was killed between the two, or those of an earlier search.
        for secret in filter(None, found):
            self._delete(secret)
            self._wait_until_gone(secret)
        host = self._plan.search.chief
        hosts = [host, f"{host}.{self._plan.namespace}", self._plan.chief_host]
        made = credentials.make([*hosts, f"{self._plan.chief_host}.cluster.local"])
        for component, files in ((names.CHIEF, made.chief_files()), (names.WORKER, made.worker_files())):
            if self._create(manifests.secret(self._plan, component, files, owners)) is None:
                return self._ensure_secrets(chief)
        return made.access

    def _ensure(self, manifest: Object) -> None:
        """Creates an object; one of the same name is adopted if it has the same owner, else replaced."""
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        owner = manifest["metadata"]["ownerReferences"][0]["uid"]
        deadline = time.monotonic() + _GONE_SECONDS
        while time.monotonic() < deadline:
            if self._create(manifest) is not None:
                return
            found = self._find(kind, name)
            if found is None:
                continue
            if not found["metadata"].get("deletionTimestamp"):
                if any(reference["uid"] == owner for reference in found["metadata"].get("ownerReferences", ())):
                    return
                self._delete(found)
            self._wait_until_gone(found)
        raise ClusterError(f"the {kind} {name} in namespace {self._plan.namespace} can be neither made nor adopted")

    def _replace(self, chief: Object) -> None:
        _LOG.info("the earlier attempt at search %s is removed", self._plan.search.name)
        self.remove(0.0)

    def _create(self, manifest: Object) -> Object | None:
        """The object, None where one of this name is there."""
        try:
            made = self._api.create(path(manifest["kind"], self._plan.namespace), manifest)
        except ApiError as error:
            if error.code == 409 and error.reason == "AlreadyExists":
                return None
            raise
        return made

    def _find(self, kind: str, name: str) -> Object | None:
        return find(self._api, path(kind, self._plan.namespace, name))

    def _delete(self, found: Object) -> None:
        target = self._path(found["kind"], found["metadata"]["name"])
        self._api.delete(target, propagation="Foreground", uid=found["metadata"]["uid"])

    def _wait_until_gone(self, found: Object) -> None:
        target, uid = self._path(found["kind"], found["metadata"]["name"]), found["metadata"]["uid"]
        deadline = time.monotonic() + _GONE_SECONDS
        while time.monotonic() < deadline:
            now = find(self._api, target)
            if now is None or now["metadata"]["uid"] != uid:
                return
            time.sleep(_LOOK_SECONDS)
        raise ClusterError(f"the {found['kind']} {found['metadata']['name']} is not gone after {_GONE_SECONDS:g} s")

    def _path(self, kind: str, name: str) -> str:
        return path(kind, self._plan.namespace, name)


def find(api: KubernetesApi, target: str) -> Object | None:
    """An object, None where there is none.

    Raises:
      ClusterError: the API server refused or did not answer.
    """
    try:
        return api.get(target)
    except ApiError as error:
        # A namespace that does not exist has nothing in it, but that is not what was asked.
        if error.code == 404 and "namespaces " not in error.message:
            return None
        raise


def read_log(api: KubernetesApi, namespace: str, pod: str, lines: int) -> str:
    """The last lines of a pod's log.

    Raises:
      ClusterError: the API server refused, or the pod has no log.
    """
    return api.text(
        f"{path('Pod', namespace, pod)}/log",
        patience_seconds=_LOG_PATIENCE_SECONDS,
        container=CONTAINER,
        tailLines=lines,
        limitBytes=_LOG_BYTES,
    )


def no_such_search(namespace: str, search: str) -> str:
    """What to say where no search has this name."""
    return (
        f"no search {search} runs in namespace {namespace}. Those that run: "
        f"kubectl get jobs --namespace {namespace} --label-columns {names.SEARCH_LABEL}"
    )


def scale(api: KubernetesApi, namespace: str, search: str, group: str, count: int) -> None:
    """See `SearchObjects.scale`; `search` is the name that its objects are labelled with.

    Raises:
      ClusterError: there is no such search or group, its queue decides, or the API server refused.
    """
    selector = f"{names.selector(search)},{names.GROUP_LABEL}"
    jobs = {
        job["metadata"]["labels"][names.GROUP_LABEL]: job
        for job in api.get(path("Job", namespace), labelSelector=selector)["items"]
    }
    if not jobs:
        raise ClusterError(no_such_search(namespace, search))
    if group not in jobs:
        raise ClusterError(f"search {search} has no group {group}; it has {', '.join(sorted(jobs))}")
    job = jobs[group]
    if diagnosis.finished(job):
        raise ClusterError(f"group {group} of search {search} has ended; it cannot be scaled any more")
    if count == 0 and QUEUE_LABEL in job["metadata"]["labels"]:
        raise ClusterError(
            f"group {group} is in a Kueue queue, which decides when it runs: it needs at least one worker"
        )
    # A Job of no completions would be complete for ever.
    spec: Object = {"completions": count, "parallelism": count} if count else {}
    if QUEUE_LABEL not in job["metadata"]["labels"]:
        spec["suspend"] = count == 0
    api.patch(path("Job", namespace, job["metadata"]["name"]), {"spec": spec})


def remove(api: KubernetesApi, namespace: str, search: str, grace_seconds: float) -> None:
    """Removes everything of a search; `search` is the name that its objects are labelled with.

    Raises:
      ClusterError: something is left, or the API server refused.
    """
    selector = names.selector(search)
    began = time.monotonic()
    workers, chief = f"{selector},{names.GROUP_LABEL}", selector
    # Workers first: they give their trials back to the chief.
    for each, share in ((workers, grace_seconds / 2), (chief, grace_seconds)):
        _delete_all(api, "Job", namespace, each)
        _end_pods(api, namespace, each, began + share)
    for kind in ("Service", "NetworkPolicy"):
        _delete_all(api, kind, namespace, selector)
    for name in names.secrets(search):
        api.delete(path("Secret", namespace, name))
    deadline = time.monotonic() + _GONE_SECONDS
    left = _left(api, namespace, search)
    while left and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        left = _left(api, namespace, search)
    if left:
        raise ClusterError(
            f"of search {search} there is left in namespace {namespace}: {', '.join(left)}. "
            f"kubectl delete jobs,pods,services,secrets,networkpolicies --namespace {namespace} --selector {selector}"
        )


def _end_pods(api: KubernetesApi, namespace: str, selector: str, until: float) -> None:
    """Waits for the end of pods whose Job is being deleted; those that are still there at `until` are removed at once.

    A pod on a node that is lost would stay as long as the node.
    """
    collection = path("Pod", namespace)
    while names_left := _names(api.get(collection, labelSelector=selector)["items"]):
        if time.monotonic() >= until:
            for name in names_left:
                api.delete(f"{collection}/{name}", grace_seconds=0)
            return
        time.sleep(_LOOK_SECONDS)


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


def _owned(found: Object, owner: Object) -> bool:
    references = found["metadata"].get("ownerReferences", ())
    return any(reference["uid"] == owner["metadata"]["uid"] for reference in references)
