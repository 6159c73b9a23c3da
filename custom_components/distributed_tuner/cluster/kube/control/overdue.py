"""Pods that should be gone and are not, since nobody on their node ends them.

Where a node falls silent and its object stays, as that of a machine that hangs, the cluster marks its pods as being
deleted and waits for the node to end them. The Job's controller waits for the same before it makes others. So the step
says that they have ended, as the cluster's own garbage collector does once a node's object is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from custom_components.distributed_tuner.cluster.kube.api.call import Object
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis

# A node that is there kills a pod at the end of its grace, and may take a while to tell.
_SLACK_SECONDS = 15.0
# What the API server gives a pod that asks for no grace of its own.
_DEFAULT_GRACE_SECONDS = 30.0


class Overdue:
    """Notices pods that are still there when their grace is over.

    Measured from when this step first saw them being deleted: the API server's clock is not this machine's.

    Args:
      clock: seconds; any that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._named: set[str] = set()

    def among(self, pods: Iterable[Object]) -> list[Object]:
        """Those of all the pods of a search that are overdue, each once."""
        now, before, self._since = self._clock(), self._since, {}
        found: list[Object] = []
        for pod in pods:
            metadata = pod["metadata"]
            uid = metadata["uid"]
            # What has ended and is kept by a finalizer is no trouble: its Job makes another one.
            if "deletionTimestamp" not in metadata or diagnosis.ended(pod):
                continue
            self._since[uid] = before.get(uid, now)
            grace = float(metadata.get("deletionGracePeriodSeconds", _DEFAULT_GRACE_SECONDS))
            if uid not in self._named and now - self._since[uid] > grace + _SLACK_SECONDS:
                self._named.add(uid)
                found.append(pod)
        return found
