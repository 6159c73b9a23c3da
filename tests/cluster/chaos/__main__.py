"""`python -m tests.cluster.chaos [--seed N] [--disruptions 100]`: a table, and one line of JSON at the end."""

from __future__ import annotations

import argparse
import logging
import random
import secrets
import sys
import tempfile
from pathlib import Path

import rich.console

from tests.cluster.chaos import arena, report
from tests.cluster.chaos.campaign import Plan, order
from tests.cluster.chaos.world import AWAY_SECONDS
from tests.cluster.teams import make_team, use_cluster_dns
from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.local_cluster import LocalCluster, prepare, programs
from tests.harness.cluster.machine import namespaces
from tests.harness.cluster.node.images import HOST_IMAGE

_BETWEEN = (3.0, 9.0)
_PATIENCE_SECONDS = 400.0
_DEADLINE_SECONDS = 3600.0
# A cluster's own default is 50: a node is not lost because the API server was away for half a minute.
_NODE_GRACE_SECONDS = 40


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of what is random (default: any)")
    parser.add_argument("--disruptions", type=int, default=102, help="how many (%(default)s)")
    parser.add_argument("--trials", type=int, default=60, help="of the search (%(default)s)")
    parser.add_argument("--epochs", type=int, default=30, help="of a trial (%(default)s)")
    parser.add_argument("--epoch-seconds", type=float, default=2.0, help="that an epoch takes (%(default)s)")
    parser.add_argument("--workers", type=int, default=8, help="in three groups (%(default)s)")
    parser.add_argument("--keep", type=Path, help="a folder where cluster and search stay, with their logs")
    return parser.parse_args()


def _hold(arguments: argparse.Namespace, root: Path, console: rich.console.Console) -> int:
    seed: int = arguments.seed
    plan = Plan(
        trials=arguments.trials,
        epochs=arguments.epochs,
        epoch_seconds=arguments.epoch_seconds,
        workers=arguments.workers,
        kinds=order(arguments.disruptions, random.Random(f"{seed}/order")),
        between=_BETWEEN,
        patience=_PATIENCE_SECONDS,
        deadline=_DEADLINE_SECONDS,
    )
    shared = root / "runs"
    for folder in (shared, root / "alone", root / "dns"):
        folder.mkdir(parents=True)
    # What the step says goes where chief and workers say theirs.
    logging.basicConfig(filename=root / "step.log", level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    console.print(f"seed {seed}: {plan.trials} trials, {plan.workers} workers, {len(plan.kinds)} disruptions")
    wanted = arena.alone(plan, root / "alone")
    with LocalCluster(root / "cluster", programs(), node_grace_seconds=_NODE_GRACE_SECONDS) as cluster:
        use_cluster_dns(root / "dns")
        team = make_team(cluster, cluster.api(), "chaos", HOST_IMAGE, shared)
        outcome = arena.hold(cluster, cluster.nodes, team, shared, plan, wanted, seed=seed, away_seconds=AWAY_SECONDS)
    for problem in outcome.problems:
        console.print(problem)
    if outcome.dump:
        console.print(outcome.dump)
    console.print(report.table(outcome))
    print(report.tally(outcome, seed))
    return 0 if report.passed(outcome) else 1


def main() -> int:
    """Runs the campaign and returns 1 if the search broke a promise."""
    arguments = _arguments()
    console = rich.console.Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    try:
        prepare()
        namespaces.enter()
        with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
            # It becomes a path in pods, where the API server takes no `..`.
            root: Path = (arguments.keep or Path(temporary)).resolve()
            return _hold(arguments, root, console)
    except HarnessError as error:
        print(f"no cluster: {error}", file=sys.stderr)
        return 1
    except TimeoutError as error:
        print(f"the cluster, not the search, broke off: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
