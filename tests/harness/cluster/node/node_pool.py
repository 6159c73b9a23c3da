"""The process nodes of a cluster."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.certificates import Authority
from tests.harness.cluster.kubernetes.api import Api
from tests.harness.cluster.node.images import HOST_IMAGE, Image, host_image
from tests.harness.cluster.node.process_node import ProcessNode
from tests.harness.cluster.pod.process_pod import ProcessPod
from tests.harness.cluster.pod.simulated_pod import SimulatedPod

#: What Google's spot node pools put on their machines.
SPOT_LABELS = {"cloud.google.com/gke-spot": "true"}
SPOT_TAINT = {"key": "cloud.google.com/gke-spot", "value": "true", "effect": "NoSchedule"}
GPU = "nvidia.com/gpu"


class NodePool:
    """Adds nodes to a cluster and takes them away. It is a context manager: at its end its nodes are gone.

    Args:
      api: the administrator.
      authority: of the cluster.
      folder: for the pods' files.
      images: name to what it stands for; every node of the pool sees later changes. HOST_IMAGE is always there.
      prefix: of the nodes' names; no other pool of the cluster has it.
    """

    def __init__(
        self,
        api: Api,
        authority: Authority,
        folder: Path,
        *,
        images: Mapping[str, Image] | None = None,
        prefix: str = "node",
    ) -> None:
        self.images: dict[str, Image] = {HOST_IMAGE: host_image(), **(images or {})}
        self._api = api
        self._authority = authority
        self._folder = folder
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._nodes: list[ProcessNode] = []

    def add(
        self,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Mapping[str, str]] = (),
        gpus: int = 0,
        capacity: Mapping[str, str] | None = None,
        simulated: bool = False,
    ) -> ProcessNode:
        """Starts a node that is ready for pods.

        Args:
          name: of the node; by default a new one.
          labels: besides those that every node has.
          taints: that keep pods away.
          gpus: how many it has.
          capacity: replaces or adds to what every node has.
          simulated: whether its pods have no processes, see `SimulatedPod`.
        """
        number = next(self._numbers)
        node = ProcessNode(
            self._api,
            name or f"{self._prefix}-{number}",
            self._folder / str(number),
            self._authority,
            images=self.images,
            labels=labels,
            taints=taints,
            capacity={**({GPU: str(gpus)} if gpus else {}), **(capacity or {})},
            make_pod=SimulatedPod if simulated else ProcessPod,
        )
        self._nodes.append(node)
        return node

    def add_spot(self, *, gpus: int = 0) -> ProcessNode:
        """Starts a node with the label and the taint of a spot machine."""
        return self.add(labels=SPOT_LABELS, taints=[SPOT_TAINT], gpus=gpus)

    def remove(self, node: ProcessNode) -> None:
        """Ends a node and deletes its object, as a cloud does once the machine is gone."""
        node.die()
        self._api.delete(f"/api/v1/nodes/{node.name}")
        if node in self._nodes:
            self._nodes.remove(node)

    def crash(self, uid: str) -> None:
        """Kills the containers of a pod, on whatever node it is; the nodes know nothing of it."""
        for node in self._nodes:
            node.crash(uid)

    def close(self) -> None:
        """Removes every node."""
        for node in list(self._nodes):
            self.remove(node)

    def __enter__(self) -> NodePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
