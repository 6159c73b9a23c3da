"""Resets the Job controller's backoff for pods whose members were preempted or evicted.

The controller waits 10 s before it replaces a pod, and twice as long after each further end of the same index, up to 10
minutes. It also counts ends that the Job's podFailurePolicy ignores, and never resets the count while the Job exists: a
chief, or a spot worker that was preempted seven times in a week, would be missing for ten minutes each time. The count
is an annotation of the pod, so it is reset there. The member's own failures have a separate count, which is left
alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api.call import Object
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError
from custom_components.distributed_tuner.cluster.kube.control.objects import path

_LOG = logging.getLogger(__name__)

IGNORED_ENDS = "batch.kubernetes.io/job-index-ignored-failure-count"

# An API server that is unreachable, or has just started and not loaded the roles yet, is asked again after this time.
_PAUSE_SECONDS = 5.0


class Forgiveness:
    """Resets, once for each pod, its member's count of ends that were not its fault.

    Args:
      api: the API server.
      namespace: of the pods.
      clock: for tests.
    """

    def __init__(self, api: KubernetesApi, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._namespace = namespace
        self._clock = clock
        self._forgiven: set[str] = set()
        self._not_before = clock()
        self._told = False

    def grant(self, pods: Iterable[Object]) -> None:
        """Resets the counts of all pods of the search; an unreachable API server costs nothing but time."""
        if self._clock() < self._not_before:
            return
        for pod in pods:
            metadata = pod["metadata"]
            count = metadata.get("annotations", {}).get(IGNORED_ENDS, "0")
            if count == "0" or metadata["uid"] in self._forgiven:
                continue
            try:
                forgive(self._api, self._namespace, pod)
            except ClusterError as error:
                self._not_before = self._clock() + _PAUSE_SECONDS
                if not self._told:
                    self._told = True
                    _LOG.warning("members that are taken away again and again may be replaced late: %s", error)
                return
            self._forgiven.add(metadata["uid"])


def forgive(api: KubernetesApi, namespace: str, pod: Object) -> None:
    """Resets the count of a pod; one that is gone needs nothing.

    Raises:
      ClusterError: the API server refused or did not answer.
    """
    # Through its status: that gives no right to change what the pod runs.
    metadata = pod["metadata"]
    change = {"metadata": {"uid": metadata["uid"], "annotations": {IGNORED_ENDS: "0"}}}
    try:
        api.patch(f"{path('Pod', namespace, metadata['name'])}/status", change, patience_seconds=0.0)
    except ApiError as error:
        if error.code not in (404, 409):  # 409: another pod has the name by now
            raise
