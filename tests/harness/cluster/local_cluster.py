"""A whole cluster on this machine: control plane, Services, process nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

from tests.harness.cluster.kubernetes import build
from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.control_plane import NODE_GRACE_SECONDS, QUICK_JOBS, ControlPlane
from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.kubernetes.waiting import until
from tests.harness.cluster.machine import requirements
from tests.harness.cluster.node.images import Image
from tests.harness.cluster.node.node_pool import NodePool
from tests.harness.cluster.node.services import NameServer, ServiceProxy, ServiceTable
from tests.harness.cluster.real_node import packages


class LocalCluster(AbstractContextManager["LocalCluster"]):
    """Starts at the beginning of a `with` block, inside `namespaces.enter`, and ends with it.

    Args:
      folder: for everything that it writes.
      programs: as `build.programs` gives them.
      images: what the process nodes can run, besides HOST_IMAGE.
      quick_jobs: shortens the Job controller's waits.
      node_grace_seconds: how long a node may be silent before it counts as lost.
      options: more command-line options of the control plane, by program.
    """

    def __init__(
        self,
        folder: Path,
        programs: Mapping[str, Path],
        *,
        images: Mapping[str, Image] | None = None,
        quick_jobs: bool = True,
        node_grace_seconds: int = NODE_GRACE_SECONDS,
        options: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.folder = folder
        environment = QUICK_JOBS if quick_jobs else None
        self.control_plane = ControlPlane(
            folder, programs, environment=environment, node_grace_seconds=node_grace_seconds, options=options
        )
        self.nodes: NodePool
        self._images = images
        self._stack = ExitStack()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.control_plane.kubeconfig

    def api(self, *, token: str = "") -> Api:
        """A client: of the administrator, or of who owns the service-account token."""
        return self.control_plane.api(token=token)

    def share(self, namespace: Namespace, name: str, folder: Path) -> str:
        """Makes a folder of this machine a claim that pods of a namespace can mount, and returns the claim's name.

        Raises:
          TimeoutError: the claim did not become usable.
        """
        folder.chmod(0o777)
        size, modes = {"storage": "1Gi"}, ["ReadWriteMany"]
        volume: Object = {
            "metadata": {"name": f"{namespace.name}-{name}"},
            "spec": {
                "capacity": size,
                "accessModes": modes,
                "storageClassName": "",
                "hostPath": {"path": str(folder)},
                "claimRef": {"namespace": namespace.name, "name": name},
            },
        }
        claim: Object = {
            "metadata": {"name": name},
            "spec": {
                "storageClassName": "",
                "accessModes": modes,
                "volumeName": volume["metadata"]["name"],
                "resources": {"requests": size},
            },
        }
        namespace.api.create("/api/v1/persistentvolumes", volume)
        namespace.api.create(namespace.path("persistentvolumeclaims"), claim)

        def bound() -> bool:
            found = namespace.api.get(namespace.path("persistentvolumeclaims", name))
            return bool(found.get("status", {}).get("phase") == "Bound")

        # A pod that comes before waits first for the claim, and tells of nothing else that it waits for.
        until(bound, f"claim {name} of {namespace.name} to be bound")
        return name

    def __enter__(self) -> LocalCluster:
        with ExitStack() as stack:
            plane = stack.enter_context(self.control_plane)
            table = stack.enter_context(closing(ServiceTable(plane.api())))
            stack.enter_context(closing(NameServer(table)))
            stack.enter_context(closing(ServiceProxy(table)))
            pool = NodePool(plane.api(), plane.authority, self.folder / "pods", images=self._images)
            self.nodes = stack.enter_context(pool)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def programs() -> dict[str, Path]:
    """The programs of a control plane, built if need be.

    Raises:
      HarnessError: they could not be built.
    """
    return build.programs(build.ETCD, build.CONTROL_PLANE)


def prepare(*, real_node: bool = False) -> dict[str, Path]:
    """Builds and fetches what a cluster needs, before `namespaces.enter` takes the network away.

    Args:
      real_node: whether a real node is wanted too.

    Returns:
      As `programs`.

    Raises:
      HarnessError: the machine lacks something, or it is not to be had.
    """
    lacks = requirements.missing()
    if lacks:
        raise HarnessError("; ".join(lacks))
    built = programs()
    if real_node:
        build.programs(build.KUBELET, build.PAUSE)
        packages.find()
    return built
