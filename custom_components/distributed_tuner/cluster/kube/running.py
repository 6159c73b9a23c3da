"""A search that runs on Kubernetes, found by its name from anywhere that can reach the API server."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from custom_components.distributed_tuner.cluster.base import ClusterError, Member, MemberState
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.control import objects
from custom_components.distributed_tuner.cluster.kube.manifests import names
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import DIRECTORY_ANNOTATION
from custom_components.distributed_tuner.cluster.kube.observe.members import Seen, view
from custom_components.distributed_tuner.record import formatting, progress_log
from custom_components.distributed_tuner.storage import BUCKET_SCHEME
from custom_components.distributed_tuner.storage.search_dir import RECORD

# The chief logs little.
_LINES = 1000


@dataclasses.dataclass(frozen=True)
class Running:
    """A search as the API server knows it.

    Attributes:
      directory: the search directory, as the pods see it.
      members: chief and workers.
      progress: when the chief last logged the search's progress, and what; None if unavailable.
    """

    directory: str
    members: tuple[Member, ...]
    progress: tuple[str, str] | None

    @property
    def chief_runs(self) -> bool:
        """Whether the chief is running."""
        return any(member.name == names.CHIEF and member.state is MemberState.RUNNING for member in self.members)

    @property
    def readable(self) -> bool:
        """Whether the directory can be read from here: a bucket, or a volume that this machine has at the same path."""
        return self.directory.startswith(BUCKET_SCHEME) or os.access(Path(self.directory) / RECORD, os.R_OK)

    @property
    def elsewhere(self) -> str:
        """What to do for more, if it cannot."""
        return (
            f"the search directory is {self.directory}, on a volume of the pods: where that is mounted, `status`, "
            f"`leaderboard` and `report` of {self.directory} tell all"
        )


def find(api: KubernetesApi, namespace: str, search: str) -> Running:
    """Looks up a search.

    Args:
      api: the API server.
      namespace: of the search.
      search: its name.

    Raises:
      ClusterError: no such search, or the API server refused.
    """
    seen = see(api, namespace, search)
    chief = objects.find(api, objects.path("Job", namespace, names.secrets(search)[0]))
    directory = ((chief or {}).get("metadata", {}).get("annotations") or {}).get(DIRECTORY_ANNOTATION, "not known")
    return Running(directory, tuple(each.member for each in seen), _progress(api, namespace, seen))


def see(api: KubernetesApi, namespace: str, search: str) -> list[Seen]:
    """The chief and workers of a search.

    Args:
      api: the API server.
      namespace: of the search.
      search: its name.

    Raises:
      ClusterError: no such search, or the API server refused.
    """
    selector = names.selector(search)
    jobs, pods = (api.get(objects.path(kind, namespace), labelSelector=selector)["items"] for kind in ("Job", "Pod"))
    if not jobs:
        raise objects.no_such_search(api, namespace, search)
    return view(jobs, pods, namespace)


def line(member: Member) -> str:
    """Describes a member in one line."""
    restarts = f", {formatting.plural(member.restarts, 'restart')}" if member.restarts else ""
    return f"{member.name}: {member.state.value}{restarts}{f': {member.reason}' if member.reason else ''}"


def _progress(api: KubernetesApi, namespace: str, seen: list[Seen]) -> tuple[str, str] | None:
    # A chief that has just been replaced has logged nothing yet; the one before it has.
    for pod in next((each.begun for each in seen if each.member.name == names.CHIEF), ()):
        try:
            told = progress_log.last_in(objects.read_log(api, namespace, pod, _LINES))
        except ClusterError:
            # A log is lost with its node; the members show what became of it.
            continue
        if told is not None:
            return told
    return None
