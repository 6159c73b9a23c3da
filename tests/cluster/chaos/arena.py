"""Where a campaign takes place: a namespace and the search in it; and what the same search finds when left alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from tests.cluster.chaos.campaign import OPTIONS, Outcome, Plan, suffer
from tests.cluster.chaos.watched import Watched
from tests.cluster.chaos.world import CHIEF, GROUPS, World
from tests.cluster.kubernetes_search import KubernetesSearch, connect, deploy
from tests.harness.chaos import arena as local
from tests.harness.chaos import drag, running
from tests.harness.chaos.audit import Expected
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.local_cluster import LocalCluster
from tests.harness.cluster.node.node_pool import NodePool

_TUNER = "tests.harness.chaos.tuners.tuner"
_RUN = "chaos"
# It waits for nothing but the machine, on which others may be busy.
_ALONE_SECONDS = 1800.0


def alone(plan: Plan, folder: Path) -> Expected:
    """Runs the same search without a cluster and without disruptions."""
    server = ForkServerHandle(folder / "fork-server.log", with_tfx=True)
    try:
        found = local.Arena(folder, server).reference(running.Plan(plan.trials, plan.epochs), _ALONE_SECONDS)
    finally:
        server.close(10.0)
    return expected(plan, results=found)


def expected(plan: Plan, **changes: Any) -> Expected:
    """What the search has to find."""
    return Expected(plan.trials, lease_seconds=OPTIONS.lease_seconds + drag.MOST * plan.epoch_seconds, **changes)


def begin(
    cluster: LocalCluster, nodes: NodePool, team: Namespace, folder: Path, plan: Plan, *, seed: int, away_seconds: float
) -> tuple[World, Watched]:
    """Starts the machines and a search on them.

    Args:
      cluster: whose API server is restarted.
      nodes: for the search's machines.
      team: the namespace; nothing has been deployed to it.
      folder: that the team's claim stands for.
      plan: what happens.
      seed: of what is random.
      away_seconds: how long the API server is away when it is.
    """
    plane = cluster.control_plane
    world = World(plane, nodes, random.Random(f"{seed}/victims"), away_seconds=away_seconds)
    world.settle()
    step = connect(plane.url, plane.authority.certificate, deploy(team))
    few = max(1, plan.workers // 4)
    counts = dict.fromkeys(GROUPS, few) | {"spot": plan.workers - few * (len(GROUPS) - 1)}
    settings = {
        "groups": [{"name": name, "count": counts[name], **group} for name, group in GROUPS.items()],
        "chief": CHIEF,
    }
    config = {"trials": plan.trials, "epochs": plan.epochs, "seconds": plan.epoch_seconds, "algorithm": "random"}
    made = KubernetesSearch(cluster, team, folder, step, _TUNER, config, settings=settings, run=_RUN, options=OPTIONS)
    return world, Watched(made, plan.workers)


def hold(
    cluster: LocalCluster,
    nodes: NodePool,
    team: Namespace,
    folder: Path,
    plan: Plan,
    wanted: Expected,
    *,
    seed: int,
    away_seconds: float,
) -> Outcome:
    """Runs a search, disrupts it and judges it: `begin`, and what the search has to find."""
    world, watched = begin(cluster, nodes, team, folder, plan, seed=seed, away_seconds=away_seconds)
    return suffer(world, watched, plan, wanted)
