"""What a search on Kubernetes costs, on a cluster of this machine (see docs/cluster-tests.md).

Its pods are processes, the Job controller's waits are Kubernetes' own.

- `overhead_8`: wall time of a search with 8 workers, from its first trial to its end, over its ideal: the sum of the
  trials' seconds / 8. It holds the start of the workers that begin late: `all_workers_seconds` after the first.
- `first_trial_seconds`: from the start of the pipeline's step to the first trial.
- `recovery_seconds`, `recovery_node_seconds`: from the eviction of a worker's pod, or from the death of its node, to
  the first epoch of its trial in another pod, while all other workers have trials of their own. Medians.
- `api_requests_per_minute_N`: what all of a search of N workers asks the API server. 8 workers are real, and run many
  trials meanwhile; `…_8_simulated`, 100 and 500 are pods without processes and without trials, of which one in twenty
  is taken away each minute.

    python -m benchmarks.cluster [--quick]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import overhead
from benchmarks.clients.cluster_requests import AuditLog, per_minute
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import SearchRecord
from tests.cluster.chaos import arena, campaign
from tests.cluster.chaos.recovery import Disruption, recovery
from tests.cluster.chaos.watched import Watched
from tests.cluster.chaos.world import World
from tests.cluster.kubernetes_search import KubernetesSearch, connect, deploy
from tests.cluster.teams import make_team, use_cluster_dns
from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.kubernetes.waiting import until
from tests.harness.cluster.local_cluster import LocalCluster, prepare, programs
from tests.harness.cluster.machine import namespaces
from tests.harness.cluster.node.images import HOST_IMAGE

# A cluster's own default.
_NODE_GRACE_SECONDS = 50
_RECOVERY_SECONDS = 600.0
# Longer than any other.
_LONG_TRIAL = campaign.Plan(
    1000, epochs=10_000, epoch_seconds=1.0, workers=3, kinds=(), between=(0.0, 0.0), patience=0.0, deadline=0.0
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to measure: trials of `seconds` on `workers`, losses of pods and nodes, minutes of simulated pods."""

    trials: int
    seconds: float
    workers: int
    evictions: int
    node_deaths: int
    simulated: tuple[int, ...]
    followed_seconds: float


FULL = Plan(
    trials=192, seconds=5.0, workers=8, evictions=5, node_deaths=3, simulated=(8, 100, 500), followed_seconds=120.0
)
QUICK = Plan(trials=4, seconds=1.0, workers=2, evictions=1, node_deaths=0, simulated=(4,), followed_seconds=10.0)


class Bench:
    """Measures on one cluster.

    Args:
      cluster: it is up.
      audit: of its API server.
      folder: for the searches.
    """

    def __init__(self, cluster: LocalCluster, audit: AuditLog, folder: Path) -> None:
        self._cluster = cluster
        self._audit = audit
        self._folder = folder

    def sleeping(self, plan: Plan) -> dict[str, float]:
        """Trials that only sleep, on real workers."""
        for _ in range(2):
            self._cluster.nodes.add()
        config = {"trials": plan.trials, "seconds": plan.seconds}
        made = self._search("sleeping", "benchmarks.subjects.sleeping_tuner.tuner_fn", config)
        all_begun: list[float] = []

        def watch(record: SearchRecord) -> None:
            if not all_begun and len(record.workers()) == plan.workers:
                all_begun.append(time.time())

        began = time.time()
        record = made.run(workers=plan.workers, watch=watch).record
        measured = overhead.measure(record, began, workers=plan.workers, seconds=plan.seconds)
        first = began + measured.startup
        assert record.ended is not None, "`measure` has seen to it"
        since, until_end = all_begun[0] if all_begun else first, record.ended
        requests = self._audit.requests(made.namespace.name, since, until_end)
        return {
            f"overhead_{plan.workers}": round(measured.overhead, 4),
            "first_trial_seconds": round(measured.startup, 2),
            "all_workers_seconds": round(since - first, 2),
            f"api_requests_per_minute_{plan.workers}": round(requests * 60.0 / (until_end - since), 1),
            "trials_per_minute_meanwhile": round(plan.trials * 60.0 / (record.ended - first), 1),
        }

    def recovery(self, plan: Plan) -> dict[str, float]:
        """Trials that go on elsewhere."""
        folder = self._folder / "recovery"
        folder.mkdir()
        team = self._team("recovery", folder)
        world, watched = arena.begin(
            self._cluster, self._cluster.nodes, team, folder, _LONG_TRIAL, seed=0, away_seconds=0.0
        )
        found: dict[str, list[float]] = {}
        try:
            for kind in ("evict-worker",) * plan.evictions + ("kill-node",) * plan.node_deaths:
                found.setdefault(kind, []).extend(self._lose(kind, world, watched))
        finally:
            watched.call_off()
        names = {"evict-worker": "recovery_seconds", "kill-node": "recovery_node_seconds"}
        return {
            **{names[kind]: round(statistics.median(seconds), 2) for kind, seconds in found.items()},
            **{f"{names[kind]}_max": round(max(seconds), 2) for kind, seconds in found.items()},
        }

    def requests(self, workers: int, plan: Plan) -> dict[str, float]:
        """Pods without processes."""
        made = self._search(f"simulated-{workers}", "waiting", {})
        name = f"api_requests_per_minute_{workers}" + ("_simulated" if workers == plan.workers else "")
        nodes = self._cluster.nodes
        asked = per_minute(made, made.namespace, nodes, self._audit, workers, plan.followed_seconds)
        nodes.close()
        return {name: round(asked, 1)}

    def _lose(self, kind: str, world: World, watched: Watched) -> list[float]:
        """Waits until all train, brings a loss about, and waits until all is well; returns each trial's seconds."""

        def all_train() -> bool:
            self._look(world, watched)
            training = {line.process for line in watched.sights().lines if line.epoch >= 0}
            live = {pod["metadata"]["name"] for pod in watched.live()}
            return len(live) == _LONG_TRIAL.workers and live <= training

        until(all_train, "all workers to train", seconds=_RECOVERY_SECONDS, tell=watched.dump)
        before = len(world.disruptions)
        until(lambda: world.strike(kind, watched), f"something for {kind}", seconds=_RECOVERY_SECONDS)
        (disruption,) = world.disruptions[before:]

        def well() -> bool:
            self._look(world, watched)
            return not recovery(disruption, watched.sights()).open

        until(well, f"the end of {disruption}", seconds=_RECOVERY_SECONDS, tell=watched.dump)
        return [seconds for seconds in _of_workers(disruption, watched) if seconds is not None]

    def _look(self, world: World, watched: Watched) -> None:
        watched.look()
        if watched.over:
            raise RuntimeError(f"the search ended early: {watched.error}")

    def _search(self, name: str, function: str, config: dict[str, Any]) -> KubernetesSearch:
        folder = self._folder / name
        folder.mkdir()
        team = self._team(name, folder)
        plane = self._cluster.control_plane
        step = connect(plane.url, plane.authority.certificate, deploy(team))
        return KubernetesSearch(self._cluster, team, folder, step, function, config, options=SearchOptions())

    def _team(self, name: str, folder: Path) -> Namespace:
        return make_team(self._cluster, self._cluster.api(), name, HOST_IMAGE, folder)


def _of_workers(disruption: Disruption, watched: Watched) -> list[float | None]:
    """The times of the workers' trials; a chief that shared the node is another matter."""
    sights = watched.sights()
    return [
        recovery(dataclasses.replace(disruption, hits=[hit]), sights).works
        for hit in disruption.hits
        if hit.member != "chief"
    ]


def run(plan: Plan, folder: Path) -> dict[str, float]:
    """Starts a cluster and measures."""
    audit = AuditLog(folder)
    figures: dict[str, float] = {}
    with LocalCluster(
        folder / "cluster", programs(), quick_jobs=False, node_grace_seconds=_NODE_GRACE_SECONDS, options=audit.options
    ) as cluster:
        use_cluster_dns(folder)
        bench = Bench(cluster, audit, folder)
        parts: Sequence[Callable[[], dict[str, float]]] = (
            lambda: bench.sleeping(plan),
            lambda: bench.recovery(plan),
            *(lambda workers=workers: bench.requests(workers, plan) for workers in plan.simulated),
        )
        for part in parts:
            found = part()
            cluster.nodes.close()
            for name, value in found.items():
                print(f"{name:36} {value:10g}", flush=True)
            figures |= found
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a row for each figure and all of them as the last line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="little of each, to see that all works")
    plan = QUICK if parser.parse_args(arguments).quick else FULL
    try:
        prepare()
        namespaces.enter()
        with tempfile.TemporaryDirectory(prefix="cluster-benchmark-") as temporary:
            logging.basicConfig(filename=Path(temporary) / "step.log", level=logging.INFO)
            found = run(plan, Path(temporary))
    except HarnessError as error:
        print(f"no cluster: {error}", file=sys.stderr)
        return 1
    print(f"\n{json.dumps(found)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
