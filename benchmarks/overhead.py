"""What the search itself costs: trials that only sleep, on 1, 2, 4 and 8 local workers.

`overhead_N` is the wall time with N workers over its ideal, trials x length / workers; 1 is perfect. It runs from the
start of the first trial to the end of the search, both as the search's record has them, so that it holds all that goes
on between trials, workers that begin late, and the wait for the last trial. What comes before it is `startup_seconds`:
from the call of `search.run` to the start of the first trial (processes, imports, the user's function), the longest of
all searches, each of which starts a fork server of its own.

    python -m benchmarks.overhead [--quick]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import sleeping_search
from custom_components.distributed_tuner.record.record import SearchRecord


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which searches to run: trials of `seconds` each, once for each number of workers."""

    trials: int
    seconds: float
    workers: tuple[int, ...]


FULL = Plan(trials=64, seconds=2.0, workers=(1, 2, 4, 8))
QUICK = Plan(trials=4, seconds=0.2, workers=(2,))


@dataclasses.dataclass(frozen=True)
class Measured:
    """One search: its workers, seconds before its first trial and after it, and what the latter are in the ideal."""

    workers: int
    startup: float
    wall: float
    ideal: float

    @property
    def overhead(self) -> float:
        """Wall time over the ideal."""
        return self.wall / self.ideal


def measure(record: SearchRecord, started: float, *, workers: int, seconds: float) -> Measured:
    """Reads the times of a search that was called at `started` out of its record.

    Raises:
      ValueError: the search has not ended.
    """
    if record.ended is None:
        raise ValueError(f"the search {record.name} has not ended")
    first = sleeping_search.first_trial(record)
    return Measured(workers, first - started, record.ended - first, len(record.trials) * seconds / workers)


def run(plan: Plan) -> list[Measured]:
    """Runs the searches of a plan one after another, and prints a row for each."""
    print(f"{plan.trials} trials of {plan.seconds:g} s\n\nworkers  start-up  wall time    ideal  overhead", flush=True)
    results = []
    for workers in plan.workers:
        with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
            started, record = sleeping_search.run(
                Path(folder) / "search", trials=plan.trials, seconds=plan.seconds, workers=workers
            )
        result = measure(record, started, workers=workers, seconds=plan.seconds)
        results.append(result)
        times = f"{result.startup:6.2f} s  {result.wall:7.2f} s  {result.ideal:5.1f} s"
        print(f"{workers:7}  {times}  {result.overhead:8.3f}", flush=True)
    return results


def figures(results: Sequence[Measured]) -> dict[str, float]:
    """The benchmark's figures by name."""
    return {
        **{f"overhead_{result.workers}": round(result.overhead, 4) for result in results},
        "startup_seconds": round(max(result.startup for result in results), 2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table and the figures as the last line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short search, to see that all works")
    plan = QUICK if parser.parse_args(arguments).quick else FULL
    print(f"\n{json.dumps(figures(run(plan)))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
