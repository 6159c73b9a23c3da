"""A part of the campaign of disruptions, with a fixed seed; all of it is `make chaos-cluster`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.api import Api
from tests.cluster.chaos import arena, report
from tests.cluster.chaos.campaign import Plan
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.node_pool import NodePool
from tests.cluster.teams import make_team, use_cluster_dns

_KINDS = ("evict-worker", "kill-node", "evict-chief", "preempt-spot", "restart-api", "evict-worker")


# Chief and workers each import TensorFlow and TFX, again after each disruption, on whatever cores there are.
@pytest.mark.timeout(400)
def test_a_search_gets_over_disruptions_at_random(
    local_cluster: LocalCluster, api: Api, nodes: NodePool, image: str, tmp_path: Path
) -> None:
    (tmp_path / "dns").mkdir()
    use_cluster_dns(tmp_path / "dns")
    shared = tmp_path / "runs"
    shared.mkdir()
    plan = Plan(
        8, epochs=6, epoch_seconds=1.0, workers=3, kinds=_KINDS, between=(1.0, 3.0), patience=200.0, deadline=300.0
    )
    team = make_team(local_cluster, api, "chaos", image, shared)
    outcome = arena.hold(local_cluster, nodes, team, shared, plan, arena.expected(plan), seed=20, away_seconds=1.0)
    assert report.passed(outcome), "\n".join([*outcome.problems, outcome.dump, report.tally(outcome, 20)])
    api.delete(f"/api/v1/namespaces/{team.name}")
