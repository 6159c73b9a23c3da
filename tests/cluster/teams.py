"""A namespace that a team searches in, and a step that finds its Services."""

from __future__ import annotations

from pathlib import Path

from tests.harness.cluster.kubernetes.api import Api
from tests.harness.cluster.kubernetes.objects import Namespace, make_namespace
from tests.harness.cluster.local_cluster import LocalCluster
from tests.harness.cluster.machine import syscalls
from tests.harness.cluster.machine.namespaces import MACHINE

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
