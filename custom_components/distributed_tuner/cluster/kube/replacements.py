"""Kills pods whose processes say nothing, as soon as the API server lets it be done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.objects import path

_LOG = logging.getLogger(__name__)

# An API server that is away is asked again after this time.
_PAUSE_SECONDS = 5.0


class Replacements:
    """The pods that are to be killed. One attempt at a time: whoever asks has a search to look after.

    Args:
      api: the API server.
      namespace: of the pods.
      clock: for tests.
    """

    def __init__(self, api: KubernetesApi, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._namespace = namespace
        self._clock = clock
        self._pods: dict[str, str] = {}
        self._not_before = clock()
        self._told = ""

    def add(self, pod: str, uid: str) -> None:
        """Has a pod killed, now or later. Only this one, and none that has come in its place meanwhile."""
        self._pods[uid] = pod

    def go_on(self) -> None:
        """Kills those that are still to be; called again and again."""
        if self._clock() < self._not_before:
            return
        for uid, pod in list(self._pods.items()):
            try:
                self._api.delete(path("Pod", self._namespace, pod), grace_seconds=0, uid=uid, patience_seconds=0.0)
            except ClusterError as error:
                # Nor is a refusal the end of a search whose other workers go on.
                self._not_before = self._clock() + _PAUSE_SECONDS
                if str(error) != self._told:
                    self._told = str(error)
                    _LOG.warning("the pod %s, which says nothing, cannot be replaced yet: %s", pod, error)
                return
            del self._pods[uid]
            self._told = ""
