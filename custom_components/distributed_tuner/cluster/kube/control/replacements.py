"""Ends pods that do not end by themselves, as soon as the API server permits it.

Pods whose processes are silent are killed by their node. If the node does not respond, the pod is first marked as
failed, as the cluster's own garbage collector does: only then does its Job create another one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api.call import STRATEGIC_PATCH
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError
from custom_components.distributed_tuner.cluster.kube.control.objects import path
from custom_components.distributed_tuner.cluster.kube.manifests.end_rules import DISRUPTED

_LOG = logging.getLogger(__name__)

# An unreachable API server is asked again after this time.
_PAUSE_SECONDS = 5.0


class Replacements:
    """The pods that are to be ended. One attempt at a time: the caller has a search to look after.

    Args:
      api: the API server.
      namespace: of the pods.
      clock: for tests.
    """

    def __init__(self, api: KubernetesApi, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._namespace = namespace
        self._clock = clock
        self._pods: dict[str, tuple[str, bool]] = {}
        self._not_before = clock()
        self._told = ""

    def add(self, pod: str, uid: str, *, abandoned: bool = False) -> None:
        """Has a pod ended, now or later: this one only, never its replacement.

        Args:
          pod: its name.
          uid: its uid.
          abandoned: whether its node has failed to end it.
        """
        self._pods[uid] = pod, abandoned

    def go_on(self) -> None:
        """Tries to end the pods that remain; called again and again."""
        if self._clock() < self._not_before:
            return
        for uid, (pod, abandoned) in list(self._pods.items()):
            try:
                if abandoned:
                    self._say_failed(pod, uid)
                self._api.delete(path("Pod", self._namespace, pod), grace_seconds=0, uid=uid, patience_seconds=0.0)
            except ClusterError as error:
                # A refusal does not end the search either: its other workers go on.
                self._not_before = self._clock() + _PAUSE_SECONDS
                if str(error) != self._told:
                    self._told = str(error)
                    what = "whose node does not end it" if abandoned else "which says nothing"
                    _LOG.warning("the pod %s, %s, cannot be replaced yet: %s", pod, what, error)
                return
            del self._pods[uid]
            self._told = ""

    def _say_failed(self, pod: str, uid: str) -> None:
        # Without this condition the Job would count a failure of the pod's own.
        words = {"reason": "NodeDoesNotAnswer", "message": "its node did not end it in time, and was given up for it"}
        change = {
            "metadata": {"uid": uid},
            "status": {"phase": "Failed", "conditions": [{"type": DISRUPTED, "status": "True", **words}]},
        }
        try:
            self._api.patch(
                f"{path('Pod', self._namespace, pod)}/status", change, STRATEGIC_PATCH, patience_seconds=0.0
            )
        except ApiError as error:
            if error.code not in (404, 409):  # 409: another pod has the name by now
                raise
