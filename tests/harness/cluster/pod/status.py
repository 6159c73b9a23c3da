"""What a kubelet reports of a pod, as pure functions."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.machine.namespaces import MACHINE


def now(*, precise: bool = False) -> str:
    """The time as Kubernetes writes it."""
    time = datetime.datetime.now(datetime.timezone.utc)
    return time.isoformat(timespec="microseconds" if precise else "seconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class ContainerStatus:
    """One container of a pod.

    Args:
      name: of the container.
      image: as the pod names it.
      state: Kubernetes' own: one of `waiting`, `running`, `terminated`.
      last: the state before it was started again.
      restarts: how often that was.
    """

    name: str
    image: str
    state: Mapping[str, Any] = field(default_factory=lambda: waiting("ContainerCreating"))
    last: Mapping[str, Any] = field(default_factory=dict)
    restarts: int = 0

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def exit_code(self) -> int | None:
        """The exit status, None while it has not ended."""
        ended = self.state.get("terminated")
        return None if ended is None else int(ended["exitCode"])

    def to_dict(self) -> Object:
        """As it stands in a pod's status."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": "" if "waiting" in self.state and not self.restarts else f"process://{self.image}",
            "containerID": "" if "waiting" in self.state else f"process://{self.name}/{self.restarts}",
            "ready": self.running,
            "started": self.running,
            "restartCount": self.restarts,
            "state": dict(self.state),
            "lastState": dict(self.last),
        }


def waiting(reason: str, message: str = "") -> Object:
    """The state of a container that does not run yet."""
    return {"waiting": {"reason": reason, "message": message}}


def running(since: str) -> Object:
    """The state of a container that runs."""
    return {"running": {"startedAt": since}}


def terminated(code: int, since: str, *, reason: str = "", message: str = "") -> Object:
    """The state of a container that has ended."""
    ended = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "startedAt": since,
        "finishedAt": now(),
    }
    return {"terminated": {**ended, "message": message} if message else ended}


def phase(containers: Iterable[ContainerStatus], *, over: bool) -> str:
    """The phase of a pod.

    Args:
      containers: all of its containers.
      over: whether none of them will be started again.
    """
    known = list(containers)
    if over:
        return "Succeeded" if all(one.exit_code == 0 for one in known) else "Failed"
    started = any(one.running or one.restarts or one.exit_code is not None for one in known)
    return "Running" if started else "Pending"


def pod_status(
    containers: Iterable[ContainerStatus],
    *,
    over: bool,
    started: str,
    address: str = "",
    inits: Iterable[ContainerStatus] = (),
    disruption: str = "",
    reason: str = "",
    message: str = "",
) -> Object:
    """The status of a pod, for a strategic merge patch.

    Args:
      containers: its containers.
      over: whether none of them will be started again.
      started: when the node took it.
      address: its own, once it has one.
      inits: its init containers.
      disruption: the reason for a DisruptionTarget condition of the node's own.
      reason: why the pod ended, where its containers do not say.
      message: more about it.
    """
    known, before = list(containers), list(inits)
    ready = all(one.running for one in known)
    conditions = {
        "PodReadyToStartContainers": bool(address),
        "Initialized": all(one.exit_code == 0 for one in before),
        "ContainersReady": ready,
        "Ready": ready,
    }
    time = now()
    told = [
        {
            "type": kind,
            "status": str(holds),
            "lastTransitionTime": time,
            "reason": "" if holds else "ContainersNotReady",
        }
        for kind, holds in conditions.items()
    ]
    if disruption:
        told.append(
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": disruption,
                "message": message,
                "lastTransitionTime": time,
            }
        )
    status: Object = {
        "phase": "Failed" if over and reason else phase(known, over=over),
        "conditions": told,
        "containerStatuses": [one.to_dict() for one in known],
        "startTime": started,
        "hostIP": MACHINE,
        "hostIPs": [{"ip": MACHINE}],
    }
    if before:
        status["initContainerStatuses"] = [{**one.to_dict(), "ready": one.exit_code == 0} for one in before]
    if address:
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    if reason:
        status["reason"] = reason
    if message:
        status["message"] = message
    return status
