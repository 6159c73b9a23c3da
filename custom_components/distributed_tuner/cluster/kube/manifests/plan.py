"""All that the manifests of one search are made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions


@dataclasses.dataclass(frozen=True)
class Plan:
    """One search on one cluster. Holds no secret.

    Attributes:
      search: what its objects are named after.
      namespace: where they are.
      root: the path of the search directory, as the pods see it, or its gs:// address.
      options: what the user set.
      grace_seconds: from `SearchOptions`: between SIGTERM and SIGKILL.
      lock_seconds: how long a new chief waits for an old one, on a node that is lost, to let go of the directory.
      attempt: tells a chief that is started anew from one that goes on with an earlier run of the search.
      directory_id: tells the search directory from another one at the same path; empty where it is not known.
      callers: who may reach the chief besides the search's pods, as a NetworkPolicy's peer: the pipeline's step. None
        lets every pod of the namespace in, who then still needs the token.
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
        """`host:port` of the chief for pods."""
        return f"{self.chief_host}:{self.options.port}"
