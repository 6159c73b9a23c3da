"""Pods that should have ended and have not, because their node does not respond.

When a node stops responding but its object stays, as for a machine that hangs, the cluster marks its pods for deletion
and waits for the node to end them. The Job's controller waits for that too before it creates replacements. So the step
marks the pods as failed, as the cluster's own garbage collector does once a node's object is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from custom_components.distributed_tuner.cluster.kube.api.call import Object
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis

# A healthy node kills a pod at the end of its grace, and may take a while to report it.
_SLACK_SECONDS = 15.0
# The API server's default for a pod without a grace period of its own.
_DEFAULT_GRACE_SECONDS = 30.0


class Overdue:
    """Finds pods that still exist after their grace period.

    Measured from when this step first saw them being deleted: the API server's clock is not this machine's.

    Args:
      clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._named: set[str] = set()

    def among(self, pods: Iterable[Object]) -> list[Object]:
        """The overdue ones among all the pods of a search; each is returned once."""
        now, before, self._since = self._clock(), self._since, {}
        found: list[Object] = []
        for pod in pods:
            metadata = pod["metadata"]
            uid = metadata["uid"]
            # A pod that has ended and is kept by a finalizer does no harm: its Job creates another one.
            if "deletionTimestamp" not in metadata or diagnosis.ended(pod):
                continue
            self._since[uid] = before.get(uid, now)
            grace = float(metadata.get("deletionGracePeriodSeconds", _DEFAULT_GRACE_SECONDS))
            if uid not in self._named and now - self._since[uid] > grace + _SLACK_SECONDS:
                self._named.add(uid)
                found.append(pod)
        return found
