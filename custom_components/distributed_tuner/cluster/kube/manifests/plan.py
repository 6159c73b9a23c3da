"""Everything that the manifests of one search are made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions


@dataclasses.dataclass(frozen=True)
class Plan:
    """One search on one cluster. Contains no secrets.

    Attributes:
      search: what its objects are named after.
      namespace: where they are.
      root: the path of the search directory as the pods see it, or its gs:// address.
      options: what the user set.
      grace_seconds: from `SearchOptions`: between SIGTERM and SIGKILL.
      lock_seconds: how long a new chief waits for an old one, on a lost node, to release the directory.
      attempt: distinguishes a chief of a new attempt from one that resumes an earlier run of the search.
      directory_id: distinguishes the search directory from another one at the same path; empty if unknown.
      callers: who may reach the chief besides the search's pods, as a NetworkPolicy's peer: the pipeline's step. None
        admits every pod of the namespace, which still needs the token.
    """

    search: SearchName
    namespace: str
    root: str
    options: KubernetesOptions
    grace_seconds: float
    lock_seconds: float
    attempt: str
    directory_id: str = ""
    callers: Mapping[str, Any] | None = None

    @property
    def chief_host(self) -> str:
        """The chief's name in the cluster's DNS, whatever the cluster's domain is."""
        return f"{self.search.chief}.{self.namespace}.svc"

    @property
    def chief_address(self) -> str:
        """`host:port` of the chief, as pods see it."""
        return f"{self.chief_host}:{self.options.port}"
