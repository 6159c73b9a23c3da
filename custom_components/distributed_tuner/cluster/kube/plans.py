"""Makes the plan of a search from what the user set and from where the step runs."""

from __future__ import annotations

import secrets
from pathlib import Path

from custom_components.distributed_tuner.cluster.kube import place
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions
from custom_components.distributed_tuner.options import SearchOptions


def make(options: KubernetesOptions, search: SearchOptions, name: SearchName, root: Path | str) -> Plan:
    """The plan of a new attempt at a search.

    Args:
      options: where and how it runs; a namespace that is left open is the step's own, or the kubeconfig's.
      search: leases, limits and deadlines.
      name: what it is called.
      root: its directory: a path that is the same here and in its pods, or a gs:// address.
    """
    return Plan(
        search=name,
        namespace=options.namespace or place.own_namespace() or place.context_namespace(),
        root=str(root),
        options=options,
        grace_seconds=search.grace_seconds,
        # Workers wait for a chief as long.
        lock_seconds=search.chief_timeout_seconds,
        attempt=secrets.token_hex(8),
    )
