"""What a pod may use of the node that it runs on."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.errors import ApiError
from tests.harness.cluster.node.images import Image
from tests.harness.cluster.pod.status import now

_RETRY_SECONDS = 0.3
# The lowest ones: the network's own, and of the first network the machine's.
_RESERVED = 10


class Addresses:
    """The addresses that a node has for its pods. Threads may share it.

    Args:
      network: as the controller manager gave it to the node, such as 10.244.3.0/24.
    """

    def __init__(self, network: str) -> None:
        hosts = [str(host) for host in IPv4Network(network).hosts()][_RESERVED:]
        self._turn = itertools.cycle(hosts)
        self._count = len(hosts)
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    def take(self) -> str:
        """One that no pod has; the one that has been free for the longest time.

        Raises:
          RuntimeError: there is none.
        """
        with self._lock:
            for address in itertools.islice(self._turn, self._count):
                if address not in self._taken:
                    self._taken.add(address)
                    return address
        raise RuntimeError(f"all {self._count} addresses of the node are taken")

    def give_back(self, address: str) -> None:
        """Its pod is gone."""
        with self._lock:
            self._taken.discard(address)


@dataclass(frozen=True)
class PodHost:
    """A node, as its pods see it.

    Args:
      name: of the node.
      api: asks as the node.
      folder: of the node; each pod has a folder of its uid below it.
      images: name to what it stands for; what is not there cannot be pulled.
      addresses: for the pods.
      restart_seconds: the first pause before a container is started again; a kubelet's is 10.
      pull_seconds: the pause before an image is tried again.
      dead: set when the node is gone: from then on nothing is reported.
    """

    name: str
    api: Api
    folder: Path
    images: Mapping[str, Image]
    addresses: Addresses
    restart_seconds: float = 0.2
    pull_seconds: float = 1.0
    dead: threading.Event = field(default_factory=threading.Event)

    def report(self, pod: Object, status: Object) -> None:
        """Writes a pod's status, as often as it takes: the API server may be away. A pod that is gone has none."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        while not self.dead.is_set():
            try:
                self.api.patch(path, {"metadata": {"uid": metadata["uid"]}, "status": status})
                return
            except ApiError as error:
                if error.status in (404, 409):
                    return
                if 400 <= error.status < 500 and error.status != 429:
                    raise
            self.dead.wait(_RETRY_SECONDS)

    def event(self, pod: Object, reason: str, message: str) -> None:
        """Tells of a pod's trouble; like a kubelet it does not try twice."""
        metadata = pod["metadata"]
        owner = {key: metadata[key] for key in ("name", "namespace", "uid")}
        event = {
            "metadata": {"generateName": f"{metadata['name']}."},
            "involvedObject": {"kind": "Pod", "apiVersion": "v1", **owner},
            "reason": reason,
            "message": message,
            "type": "Warning",
            "source": {"component": "kubelet", "host": self.name},
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }
        try:
            self.api.create(f"/api/v1/namespaces/{metadata['namespace']}/events", event)
        except ApiError:
            return
