"""What a worker's memory comes to over many small trials, beside keras-tuner as it is.

One worker runs 200 trials with the options as they are; then a plain keras-tuner script runs as many. Meanwhile the
resident set of the process and of all that it started is read every 20 ms, from /proc, as the machine counts it: pages
that a worker shares with the fork server are in it.

- `rss_20_mb`, `rss_200_mb`: the highest reading while trials 11 to 20, and 191 to 200, ran. The largest of ten trials,
  so that a worker that happens to be started afresh at the 200th gains nothing.
- `rss_ratio_200_to_20`: the highest reading of all from trial 11 to trial 200, over that of trials 11 to 20.
- `rss_peak_mb`: the highest reading of all.
- `processes`: how many the worker's trials ran in, one after another.
- `seconds_a_trial`: from the beginning of the first trial to the end of the last, with what lies between them.
- `stock_…`: the same of the plain script.

    python -m benchmarks.memory [--quick]
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.subjects import small_tuner
from custom_components.distributed_tuner.cluster.local.cluster import LocalCluster, worker_name
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import TrialStatus
from custom_components.distributed_tuner.search import run as search
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir

# The trials whose highest reading is compared with the highest of all that follow, and the time between readings.
_WINDOW = 10
_EVERY_SECONDS = 0.02
_STOCK_SECONDS = 1800.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many trials, and after which of them memory is looked at first."""

    first: int
    trials: int


FULL = Plan(first=20, trials=200)
QUICK = Plan(first=11, trials=13)


@dataclasses.dataclass(frozen=True)
class Reading:
    """The resident set of a process and its descendants, bytes, and when it was read, seconds since the epoch."""

    when: float
    rss: int


@dataclasses.dataclass(frozen=True)
class Ran:
    """A trial's process, beginning and end, seconds since the epoch."""

    pid: int
    began: float
    ended: float


def read(log: Path) -> list[Ran]:
    """The trials that a search wrote down, in order."""
    fields = (line.split() for line in log.read_text(encoding="utf-8").splitlines())
    return sorted(
        (Ran(int(pid), float(began), float(ended)) for pid, began, ended in fields), key=lambda ran: ran.began
    )


def figures(readings: Sequence[Reading], ran: Sequence[Ran], plan: Plan) -> dict[str, float]:
    """The figures of one search by name.

    Raises:
      RuntimeError: not all trials of the plan ran, or nobody looked while they did.
    """
    if len(ran) != plan.trials:
        raise RuntimeError(f"{len(ran)} trials ran instead of {plan.trials}")

    def highest(first: int, last: int) -> float:
        began, ended = ran[first - 1].began, ran[last - 1].ended
        found = [reading.rss for reading in readings if began <= reading.when <= ended]
        if not found:
            raise RuntimeError(f"no reading between the beginning of trial {first} and the end of trial {last}")
        return max(found) / 1e6

    early = highest(plan.first - _WINDOW + 1, plan.first)
    return {
        f"rss_ratio_{plan.trials}_to_{plan.first}": round(highest(plan.first - _WINDOW + 1, plan.trials) / early, 3),
        f"rss_{plan.first}_mb": round(early, 1),
        f"rss_{plan.trials}_mb": round(highest(plan.trials - _WINDOW + 1, plan.trials), 1),
        "rss_peak_mb": round(max(reading.rss for reading in readings) / 1e6, 1),
        "processes": len({trial.pid for trial in ran}),
        "seconds_a_trial": round((ran[-1].ended - ran[0].began) / plan.trials, 3),
    }


def resident(pid: int) -> int:
    """The resident set of a process and all its descendants, bytes; 0 where it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += member.memory_info().rss
    return total


@contextlib.contextmanager
def read_meanwhile(pid: Callable[[], int | None]) -> Iterator[list[Reading]]:
    """Within it the memory of whatever process `pid` names is read again and again."""
    readings: list[Reading] = []
    over = threading.Event()

    def run() -> None:
        while not over.wait(_EVERY_SECONDS):
            if (now := pid()) is not None and (rss := resident(now)):
                readings.append(Reading(time.time(), rss))

    reader = threading.Thread(target=run, name="memory", daemon=True)
    reader.start()
    try:
        yield readings
    finally:
        over.set()
        reader.join()


def ours(root: Path, plan: Plan) -> dict[str, float]:
    """Searches with one worker in the empty folder `root`.

    Raises:
      RuntimeError: a trial did not complete.
    """
    directory = SearchDir(root)
    directory.create()
    config = json.dumps({"trials": plan.trials})
    properties = {"tuner_fn": "benchmarks.subjects.small_tuner.tuner_fn", "custom_config": config}
    spec = SearchSpec("memory", "", properties, SearchOptions())
    cluster = LocalCluster(directory, secrets.token_urlsafe())
    worker = worker_name(0)

    def pid() -> int | None:
        with contextlib.suppress(KeyError):
            return cluster.pid(worker)
        return None

    with read_meanwhile(pid) as readings:
        found = search.run(spec, directory, cluster, workers=1, watch=lambda *_: None)
    if found.record.count(TrialStatus.COMPLETED) != plan.trials:
        raise RuntimeError(f"{plan.trials} trials should have completed: {found.record}; see {directory.logs}")
    return figures(readings, read(root / small_tuner.LOG), plan)


def stock(root: Path, plan: Plan) -> dict[str, float]:
    """The same trials in a plain keras-tuner script.

    Raises:
      subprocess.SubprocessError: it failed, or did not end.
    """
    root.mkdir(parents=True)
    command = [sys.executable, "-m", "benchmarks.subjects.stock_small", str(root), str(plan.trials)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    with (
        (root / "output.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment) as process,
        read_meanwhile(lambda: process.pid) as readings,
    ):
        try:
            code = process.wait(_STOCK_SECONDS)
        finally:
            process.kill()
    if code != 0:
        raise subprocess.CalledProcessError(code, command, output=(root / "output.log").read_text()[-2000:])
    return figures(readings, read(root / small_tuner.LOG), plan)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the figures of each search and all of them as the last line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few trials, to see that all works")
    plan = QUICK if parser.parse_args(arguments).quick else FULL
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        found = ours(Path(folder) / "search", plan)
        print(f"ours: {found}", flush=True)
        plain = stock(Path(folder) / "stock", plan)
        print(f"stock: {plain}", flush=True)
    print(json.dumps({**found, **{f"stock_{name}": value for name, value in plain.items()}}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
