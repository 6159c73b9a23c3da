"""`python -m tests.harness.chaos [--seed N] [--kills 200] [--only NAME …]`: a table, and a line of JSON at its end."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import rich.console
import rich.table

from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from tests.harness.chaos import kills
from tests.harness.chaos.arena import Arena
from tests.harness.chaos.faults import Result, tally
from tests.harness.chaos.suite import attempt, suite


def table(results: Sequence[Result]) -> rich.table.Table:
    """The results, a fault a row."""
    made = rich.table.Table(title="Faults")
    made.add_column("fault")
    for title in ("tried", "recovered", "clear errors", "hangs", "seconds", "lost trials", "run twice"):
        made.add_column(title, justify="right")
    made.add_column("lost epochs (most)", justify="right")
    made.add_column("")
    for result in results:
        numbers = (result.tries, result.recovered, result.clear_errors, result.hangs, round(result.seconds))
        made.add_row(
            f"{result.fault} [{result.note}]" if result.note else result.fault,
            *map(str, numbers),
            str(result.trials_lost),
            str(result.trials_run_twice),
            f"{result.epochs_lost} ({result.epochs_lost_max})",
            "ok" if result.passed else "FAILED",
        )
    return made


def main() -> int:
    """Tries the faults and returns 1 if the search broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.chaos", description="Faults against whole searches.")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of what is random (default: any)")
    parser.add_argument("--kills", type=int, default=kills.KILLS, help="random kills in all (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some faults: {', '.join(suite())}")
    parser.add_argument("--keep", type=Path, help="a folder where the searches stay, with their logs")
    arguments = parser.parse_args()
    faults = suite(arguments.kills)
    unknown = sorted(set(arguments.only or ()) - set(faults))
    if unknown:
        parser.error(f"there is no fault {', '.join(unknown)}; there are {', '.join(faults)}")
    console = rich.console.Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    console.print(f"seed {arguments.seed}, {len(os.sched_getaffinity(0))} cores")
    results = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        root = (arguments.keep or Path(temporary)).absolute()
        root.mkdir(parents=True, exist_ok=True)
        server = ForkServerHandle(root / "fork-server.log", with_tfx=True)
        arena = Arena(root, server, seed=arguments.seed)
        for name in arguments.only or faults:
            result = attempt(name, faults[name], arena)
            results.append(result)
            console.print(f"{name}: {'ok' if result.passed else 'FAILED'}, {result.seconds:.0f} s")
            sys.stdout.flush()
            for problem in result.problems:
                console.print(f"  {problem}")
        server.close(10.0)
    console.print(table(results))
    print(tally(results, arguments.seed))
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
