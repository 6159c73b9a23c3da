"""A part of the campaign of disruptions, with a fixed seed; all of it is `make chaos-cluster`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.chaos import arena, report
from tests.cluster.chaos.campaign import Plan
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.local_cluster import LocalCluster
from tests.harness.cluster.node.node_pool import NodePool

pytest_plugins = ["tests.cluster.search_fixtures"]

_KINDS = ("evict-worker", "kill-node", "evict-chief", "preempt-spot", "restart-api", "evict-worker")


# Chief and workers each import TensorFlow and TFX, again after each disruption, on whatever cores there are.
@pytest.mark.timeout(400)
def test_a_search_gets_over_disruptions_at_random(
    local_cluster: LocalCluster, team: Namespace, nodes: NodePool, tmp_path: Path
) -> None:
    plan = Plan(
        8, epochs=6, epoch_seconds=1.0, workers=3, kinds=_KINDS, between=(1.0, 3.0), patience=200.0, deadline=300.0
    )
    outcome = arena.hold(local_cluster, nodes, team, tmp_path, plan, arena.expected(plan), seed=20, away_seconds=1.0)
    assert report.passed(outcome), "\n".join([*outcome.problems, outcome.dump, report.tally(outcome, 20)])
