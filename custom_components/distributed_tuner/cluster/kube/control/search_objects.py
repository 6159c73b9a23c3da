"""Creates or adopts the objects of one search, in an order that survives a kill at any point."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api.call import Object
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError
from custom_components.distributed_tuner.cluster.kube.control import objects
from custom_components.distributed_tuner.cluster.kube.manifests import manifests, names
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import (
    ATTEMPT_ANNOTATION,
    DIRECTORY_ANNOTATION,
    DIRECTORY_ID_ANNOTATION,
    KEPT_ANNOTATION,
    QUEUE_LABEL,
)
from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis
from custom_components.distributed_tuner.rpc import credentials
from custom_components.distributed_tuner.rpc.credentials import Access

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 5
_LOOK_PATIENCE_SECONDS = 5.0
# Workers that are being replaced give their trials back.
_LONGEST_GRACE_SECONDS = 10.0


class NameTaken(ClusterError):
    """Another search already uses this search's name."""


class SearchObjects:
    """The objects of one search on one API server.

    Args:
      api: the API server.
      plan: what the objects are made from.
      owners: ownerReferences of the chief's Job, which owns the others.

    Attributes:
      adopted: whether the search was already running and has been adopted; None before that is known.
    """

    def __init__(self, api: KubernetesApi, plan: Plan, owners: Sequence[Mapping[str, Any]]) -> None:
        self._api = api
        self._plan = plan
        self._owners = owners
        self.adopted: bool | None = None

    def ensure(self, counts: Mapping[str, int]) -> Access:
        """Creates the objects that are missing and adopts the others; a search that has ended is replaced by a new one.

        Jobs with other settings are replaced too, and those kept from a failed search: whoever fixed a setting, or what
        it refers to, and runs the same run id again wants the fix to be used.

        Args:
          counts: how many workers each group has; an adopted group keeps its own number, since it may have been scaled.

        Returns:
          The credentials that the chief requires of its callers.

        Raises:
          NameTaken: another search uses this search's name.
          ClusterError: the API server refused.
        """
        for _ in range(_ATTEMPTS):
            chief = self._ensure_chief()
            access = self._ensure_secrets(chief)
            if access is not None:
                break
            # A running chief has lost its credentials: nobody can talk to it any more.
            self._replace(0.0)
        else:
            raise ClusterError(f"the Secrets of search {self._plan.search.name} vanish as soon as they are made")
        owners = [manifests.owner_reference(chief)]
        self._ensure(manifests.service(self._plan, owners))
        self._ensure(manifests.network_policy(self._plan, owners))
        if chief["spec"].get("suspend") and QUEUE_LABEL not in chief["metadata"]["labels"]:
            self._api.patch(self._path("Job", self._plan.search.chief), {"spec": {"suspend": False}})
        groups = self._plan.options.groups
        jobs = [manifests.worker_job(self._plan, group, counts[group.name], owners) for group in groups]
        self._retire_groups(jobs)
        for job in jobs:
            self._ensure(job)
        return access

    def is_ours(self) -> bool:
        """Whether the search belongs to this step: not to another search of the same name, nor to a later step."""
        chief = None
        try:
            chief = objects.find(self._api, self._path("Job", self._plan.search.chief), _LOOK_PATIENCE_SECONDS)
        except ClusterError as error:
            _LOG.info("whose the search is by now cannot be looked up: %s", error)
        if chief is None:
            # Even without its chief, parts of the search may be left.
            return self.adopted is not None
        return bool(chief["metadata"].get("annotations", {}).get(ATTEMPT_ANNOTATION) == self._plan.attempt)

    def keep(self) -> None:
        """Keeps the objects of a failed search, marked so that the next attempt replaces them.

        Raises:
          ClusterError: the API server refused.
        """
        try:
            change = {"metadata": {"annotations": {KEPT_ANNOTATION: "true"}}}
            self._api.patch(self._path("Job", self._plan.search.chief), change)
        except ApiError as error:
            if error.code != 404:
                raise

    def _ensure_chief(self) -> Object:
        name = self._plan.search.chief
        wanted = manifests.chief_job(self._plan, self._owners)
        deadline = time.monotonic() + objects.GONE_SECONDS
        while time.monotonic() < deadline:
            found = self._find("Job", name)
            if found is None:
                created = self._create(wanted)
                if created is not None:
                    self.adopted = False
                    return created
                continue
            if found["metadata"].get("deletionTimestamp"):
                self._wait_until_gone(found)
                continue
            self._check_same_search(found)
            if diagnosis.finished(found) or KEPT_ANNOTATION in found["metadata"]["annotations"]:
                self._replace(0.0)
            elif not manifests.same_settings(found, wanted):
                _LOG.info("the settings of the chief of search %s have changed", self._plan.search.name)
                self._replace(self._grace_seconds())
            else:
                taken = self._take_over(found)
                if taken is not None:
                    return taken
        raise ClusterError(f"the Job {name} in namespace {self._plan.namespace} can be neither made nor adopted")

    def _take_over(self, chief: Object) -> Object | None:
        """Makes a running search this step's, lest it be deleted with an earlier step; None if it is gone by now."""
        _LOG.info("search %s runs already and is gone on with", self._plan.search.name)
        self.adopted = True
        # The uid makes the server refuse if another Job has the name by now.
        change = {
            "uid": chief["metadata"]["uid"],
            "ownerReferences": [dict(owner) for owner in self._owners] or None,
            "annotations": {ATTEMPT_ANNOTATION: self._plan.attempt},
        }
        try:
            return self._api.patch(self._path("Job", self._plan.search.chief), {"metadata": change})
        except ApiError as error:
            if error.code in (404, 409):
                return None
            raise

    def _check_same_search(self, chief: Object) -> None:
        annotations = chief["metadata"].get("annotations", {})
        directory = annotations.get(DIRECTORY_ANNOTATION)
        # A chief made by an earlier version has none.
        known = annotations.get(DIRECTORY_ID_ANNOTATION, self._plan.directory_id)
        if directory != self._plan.root or known != self._plan.directory_id:
            where = f"not {self._plan.root}" if directory != self._plan.root else "in another volume"
            raise NameTaken(
                f"a search of the same name, {self._plan.search.name}, runs in namespace {self._plan.namespace} "
                f"already, in the directory {directory} and {where}. Wait for it, or use another run id; "
                f"if nobody wants it, kubectl delete job {self._plan.search.chief} --namespace {self._plan.namespace} "
                "removes it"
            )

    def _ensure_secrets(self, chief: Object) -> Access | None:
        """The search's credentials, created if needed; None if a running chief has lost them."""
        owners = [manifests.owner_reference(chief)]
        found = [self._find("Secret", name) for name in names.secrets(self._plan.search.name)]
        if all(secret is not None and _owned(secret, chief["metadata"]["uid"]) for secret in found):
            data = {key: base64.b64decode(value) for key, value in (found[1] or {}).get("data", {}).items()}
            return Access(data[credentials.TOKEN_FILE].decode(), data[credentials.AUTHORITY_FILE])
        if chief.get("status", {}).get("startTime"):
            return None
        # Half of a pair, left by a step that was killed between the two, or the Secrets of an earlier search.
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

    def _retire_groups(self, wanted: Sequence[Object]) -> None:
        """Deletes the Jobs of groups that are no longer wanted or have other settings; their trials go on."""
        by_name = {job["metadata"]["name"]: job for job in wanted}
        groups = f"{names.selector(self._plan.search.name)},{names.GROUP_LABEL}"
        changed, gone = [], []
        for job in self._api.get(objects.path("Job", self._plan.namespace), labelSelector=groups)["items"]:
            manifest = by_name.get(job["metadata"]["name"])
            if manifest is None:
                gone.append(job)
            elif not manifests.same_settings(job, manifest):
                changed.append(job)
        if not changed and not gone:
            return
        _LOG.info(
            "the settings of search %s have changed; groups of workers that are replaced: %s; removed: %s",
            self._plan.search.name,
            *(", ".join(map(_group, jobs)) or "none" for jobs in (changed, gone)),
        )
        # All at once: a pod may take all of its grace to end.
        until = time.monotonic() + self._grace_seconds()
        stale = [{"kind": "Job", **job} for job in (*changed, *gone)]
        for job in stale:
            self._delete(job)
        for job in stale:
            objects.end_pods(self._api, self._plan.namespace, f"{groups}={_group(job)}", until)
            self._wait_until_gone(job)

    def _grace_seconds(self) -> float:
        return min(self._plan.grace_seconds, _LONGEST_GRACE_SECONDS)

    def _ensure(self, manifest: Object) -> None:
        """Creates an object; one of the same name is adopted if owner and settings are the same, otherwise replaced."""
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        owner = manifest["metadata"]["ownerReferences"][0]["uid"]
        deadline = time.monotonic() + objects.GONE_SECONDS
        while time.monotonic() < deadline:
            if self._create(manifest) is not None:
                return
            found = self._find(kind, name)
            if found is None:
                continue
            if not found["metadata"].get("deletionTimestamp"):
                if _owned(found, owner) and manifests.same_settings(found, manifest):
                    return
                self._delete(found)
            self._wait_until_gone(found)
        raise ClusterError(f"the {kind} {name} in namespace {self._plan.namespace} can be neither made nor adopted")

    def _replace(self, grace_seconds: float) -> None:
        _LOG.info("the earlier attempt at search %s is removed", self._plan.search.name)
        objects.remove(self._api, self._plan.namespace, self._plan.search.name, grace_seconds)

    def _create(self, manifest: Object) -> Object | None:
        """The object as created, None if the name is taken."""
        try:
            made = self._api.create(objects.path(manifest["kind"], self._plan.namespace), manifest)
        except ApiError as error:
            if error.code == 409 and error.reason == "AlreadyExists":
                return None
            raise
        return made

    def _find(self, kind: str, name: str) -> Object | None:
        return objects.find(self._api, objects.path(kind, self._plan.namespace, name))

    def _delete(self, found: Object) -> None:
        target = self._path(found["kind"], found["metadata"]["name"])
        self._api.delete(target, propagation="Foreground", uid=found["metadata"]["uid"])

    def _wait_until_gone(self, found: Object) -> None:
        target, uid = self._path(found["kind"], found["metadata"]["name"]), found["metadata"]["uid"]
        deadline = time.monotonic() + objects.GONE_SECONDS
        while time.monotonic() < deadline:
            now = objects.find(self._api, target)
            if now is None or now["metadata"]["uid"] != uid:
                return
            time.sleep(objects.LOOK_SECONDS)
        raise ClusterError(
            f"the {found['kind']} {found['metadata']['name']} is not gone after {objects.GONE_SECONDS:g} s"
        )

    def _path(self, kind: str, name: str) -> str:
        return objects.path(kind, self._plan.namespace, name)


def _group(job: Object) -> str:
    return str(job["metadata"]["labels"][names.GROUP_LABEL])


def _owned(found: Object, owner_uid: str) -> bool:
    return any(owner["uid"] == owner_uid for owner in _owners(found))


def _owners(found: Object) -> Sequence[Mapping[str, Any]]:
    owners: Sequence[Mapping[str, Any]] = found["metadata"].get("ownerReferences", ())
    return owners
