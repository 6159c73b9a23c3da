"""Which user a container runs as, and with what powers, out of the pod's and its own securityContext."""

from __future__ import annotations

from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.node.images import Image
from tests.harness.cluster.pod.sandbox import Identity


class ForbiddenError(ValueError):
    """The pod's own securityContext forbids to start the container."""


def identity(pod_spec: Object, container: Object, image: Image) -> Identity:
    """Who a container runs as.

    Args:
      pod_spec: the pod's spec.
      container: the container's.
      image: has a user of its own.

    Raises:
      ForbiddenError: it must not run as root, and would.
    """
    of_pod = pod_spec.get("securityContext") or {}
    merged = {**of_pod, **(container.get("securityContext") or {})}
    user = int(merged.get("runAsUser", image.user))
    if merged.get("runAsNonRoot") and user == 0:
        raise ForbiddenError("container has runAsNonRoot and image will run as root")
    group = int(merged.get("runAsGroup", 0))
    groups = {*of_pod.get("supplementalGroups", []), *([of_pod["fsGroup"]] if "fsGroup" in of_pod else [])}
    dropped = {str(name).upper() for name in (merged.get("capabilities") or {}).get("drop", [])}
    return Identity(
        user=user,
        group=group,
        groups=tuple(sorted(groups)),
        drop_capabilities="ALL" in dropped,
        no_new_privileges=merged.get("allowPrivilegeEscalation") is False,
        read_only_root=bool(merged.get("readOnlyRootFilesystem")),
    )
