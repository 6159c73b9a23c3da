"""Saves the pods' logs, which are deleted with the pods, in the search directory."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.control.objects import read_log
from custom_components.distributed_tuner.cluster.kube.observe.members import member_of
from custom_components.distributed_tuner.storage.search_dir import LOGS, SearchDir, log_file

_LOG = logging.getLogger(__name__)

_LINES = 10_000
_AT_ONCE = 8
# Of one member's pods, of which there may be hundreds; the logs of eight members are in memory at once.
_MEMBER_CHARACTERS = 8 << 20
_LEFT_OUT = "(the logs of pods between these are left out)\n"

Object = Mapping[str, Any]


def _began(pod: Object) -> bool:
    """Whether a container of the pod has run, or may have: on a lost node, say, or if its state is not reported.

    A pod that failed before its containers started, because its node had no room say, reports no container.
    """
    status = pod.get("status", {})
    states = [
        state
        for container in status.get("containerStatuses", ())
        for state in (container.get("state", {}), container.get("lastState", {}))
    ]
    if any("running" in state or "terminated" in state for state in states):
        return True
    return not states and status.get("phase") in ("Running", "Succeeded", "Unknown")


def keep(
    api: KubernetesApi,
    namespace: str,
    jobs: Sequence[Object],
    pods: Sequence[Object],
    directory: SearchDir,
    seconds: float,
) -> None:
    """Writes MEMBER.log for each member that has a pod with a log: the logs of its pods, one after another.

    A pod that never started is skipped: asking for its log would be an error, or give an empty file.

    Args:
      api: the API server.
      namespace: of the pods.
      jobs: the search's Jobs.
      pods: the search's pods.
      directory: the search directory.
      seconds: logs not read within this time are left out: a lost node is not waited for.
    """
    by_member: dict[str, list[str]] = {}
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"]):
        name = member_of(pod, jobs)
        if name is not None and _began(pod):
            by_member.setdefault(name, []).append(pod["metadata"]["name"])
    ends = time.monotonic() + seconds

    def write(member: str) -> None:
        texts: list[str] = []
        for pod in by_member[member]:
            if time.monotonic() > ends:
                break
            try:
                texts.append(read_log(api, namespace, pod, _LINES))
            except ClusterError as error:
                texts.append(f"(the log of pod {pod} is not to be had: {error})\n")
            if sum(map(len, texts)) > _MEMBER_CHARACTERS:
                # The first of them may say what the others died of, too.
                texts[1:-1] = [_LEFT_OUT]
        if texts:
            directory.storage.write(log_file(member), "".join(texts).encode())

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="logs") as threads:
        for member, done in [(member, threads.submit(write, member)) for member in by_member]:
            try:
                done.result()
            except OSError as error:
                _LOG.warning("the log of %s cannot be kept in %s: %s", member, directory.storage.where(LOGS), error)
