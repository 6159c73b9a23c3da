"""A namespace that a team searches in, and a step that finds its Services."""

from __future__ import annotations

from pathlib import Path

from tests.cluster import syscalls
from tests.cluster.api import Api
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.namespaces import MACHINE
from tests.cluster.objects import Namespace, make_namespace

CLAIM = "runs"


def use_cluster_dns(folder: Path) -> None:
    """From here on this process finds the cluster's Services by their names, as a pipeline's step does."""
    file = folder / "resolv.conf"
    file.write_text(f"nameserver {MACHINE}\nsearch svc.cluster.local cluster.local\noptions ndots:5 timeout:2\n")
    syscalls.bind(file, "/etc/resolv.conf")


def make_team(cluster: LocalCluster, api: Api, name: str, image: str, folder: Path) -> Namespace:
    """A namespace that admits restricted pods only, with a claim CLAIM that is the folder."""
    made = make_namespace(api, name, image, labels={"pod-security.kubernetes.io/enforce": "restricted"})
    cluster.share(made, CLAIM, folder)
    return made
