"""Which cluster a search runs on: the component's argument, validated, carried as JSON, and turned into a cluster."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner.cluster.base import Cluster, ClusterError
from custom_components.distributed_tuner.cluster.kube import place
from custom_components.distributed_tuner.cluster.kube.cluster import KubernetesCluster
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.settings import options as kube_options
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions
from custom_components.distributed_tuner.cluster.local import prewarm
from custom_components.distributed_tuner.cluster.local.cluster import LocalCluster
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.storage.search_dir import SearchDir

# Chief and workers as processes of the step.
_LOCAL = "local"


class UnknownCluster(ClusterError, ValueError):
    """There is no such kind of cluster, or it has no such setting."""


def options(cluster: KubernetesOptions | Mapping[str, Any] | None) -> KubernetesOptions | None:
    """The settings of the cluster on Kubernetes, or None for processes of this machine.

    Args:
      cluster: the settings; or {"kind": "kubernetes", …} with them; None or {"kind": "local"} for this machine.

    Raises:
      UnknownCluster: another kind, or a setting of the local cluster, which has none.
      KubernetesOptionsError: a setting is unknown or out of range; each is named.
    """
    if isinstance(cluster, KubernetesOptions):
        return cluster
    if not cluster:
        return None
    kind = cluster.get("kind")
    if kind == kube_options.KIND:
        return KubernetesOptions.from_mapping(cluster)
    if kind != _LOCAL:
        known = f"{_LOCAL!r} and {kube_options.KIND!r}"
        raise UnknownCluster(f"DistributedTuner: cluster: kind {kind!r}; known are {known}")
    if unknown := sorted(str(key) for key in cluster if key != "kind"):
        raise UnknownCluster(f"DistributedTuner: cluster: {', '.join(unknown)}: not a setting of the local cluster")
    return None


def to_json(chosen: KubernetesOptions | None) -> str:
    """Serializes for `from_json`: an object with the `kind`, and the settings that differ from their defaults."""
    if chosen is None:
        return json.dumps({"kind": _LOCAL})
    return json.dumps({"kind": kube_options.KIND, **json.loads(chosen.to_json())}, sort_keys=True)


def from_json(text: str) -> KubernetesOptions | None:
    """Parses what `to_json` wrote. Raises what `options` raises."""
    return options(json.loads(text))


def make(
    chosen: KubernetesOptions | None, directory: SearchDir, search: SearchOptions, name: SearchName, workers: int
) -> Cluster:
    """The cluster for one search.

    Args:
      chosen: see `options`.
      directory: of the search; created if missing.
      search: leases, limits and deadlines.
      name: what the search is called.
      workers: how many are wanted in all.

    Raises:
      ClusterError: the cluster refused, or its pods would not see the directory.
      OSError: the directory cannot be created.
    """
    directory.create()
    if chosen is None:
        return LocalCluster(directory, secrets.token_urlsafe(32), server=prewarm.server())
    chosen.check_root(directory.url)
    # Before anything is looked up, created or removed.
    chosen.counts(workers)
    plan = place.plan(chosen, search, name, directory.url)
    cluster = KubernetesCluster(plan)
    place.warn_outside(plan.chief_address, search.chief_timeout_seconds, place.own_namespace())
    return cluster
