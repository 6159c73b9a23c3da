"""How long the whole run takes, node by node, and how long the naive layout of the same nodes takes.

    python -m benchmarks.pipeline

Each is a process of its own from start to exit, in an empty directory, on the default sample unless settings say
otherwise. They take turns, so that a machine that slows down slows both; the medians are compared. The CPU seconds of
all their processes stand beside them: those hardly depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.run import ROOT
from tfx_pipeline import settings
from tfx_pipeline.run import outcome

_DEADLINE_SECONDS = 1200


def measure(module: str, *arguments: str, folder: Path) -> tuple[float, float]:
    """Runs `python -m module` with its runs in `folder`; returns seconds from start to exit, and CPU seconds.

    Raises:
      SystemExit: it failed; its output is shown.
    """
    environment = {**os.environ, "RUNS_DIR": str(folder), "RUN_ID": "benchmark"}
    started, cpu = time.monotonic(), _children_cpu()
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_DEADLINE_SECONDS,
        check=False,
    )
    seconds, cpu = time.monotonic() - started, _children_cpu() - cpu
    if ended.returncode:
        sys.exit(f"{ended.stdout[-5000:]}\n{module} ended with status {ended.returncode}")
    nodes = ", ".join(f"{node} {value:.1f}" for node, value in node_seconds(folder).items() if value >= 0.5)
    print(f"{module}: {seconds:.1f} s, {cpu:.0f} CPU s; seconds of the nodes: {nodes}", flush=True)
    return seconds, cpu


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def node_seconds(folder: Path) -> dict[str, float]:
    """Seconds of each node of the only run in `folder`, by the metadata."""
    path = settings.load({"RUNS_DIR": str(folder)}).metadata_path
    (run_id,) = outcome.run_ids(path)
    return {node.node_id: node.seconds for node in outcome.read_run(path, run_id).nodes.values()}


def main() -> None:
    """Measures and prints one line of JSON at the end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description="Times the whole run.")
    parser.add_argument("--repeats", type=int, default=1, help="how often each is run (default: %(default)s)")
    repeats = parser.parse_args().repeats
    ours, naive = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            ours.append(measure("tfx_pipeline", "run", folder=Path(first)))
            timing = json.loads((Path(first) / "logs" / "benchmark" / "timing.json").read_text(encoding="utf-8"))
            naive.append(measure("benchmarks.subjects.naive_pipeline", folder=Path(second)))
    seconds, cpu_seconds = (statistics.median(values) for values in zip(*ours, strict=True))
    naive_seconds, naive_cpu_seconds = (statistics.median(values) for values in zip(*naive, strict=True))
    whole = sum(timing["nodes"].values())
    shares = {node: round(value / whole, 3) for node, value in timing["nodes"].items()}
    print(
        json.dumps(
            {
                "seconds": round(seconds, 1),
                "naive_seconds": round(naive_seconds, 1),
                "speedup_vs_naive": round(naive_seconds / seconds, 2),
                "cpu_seconds": round(cpu_seconds, 1),
                "naive_cpu_seconds": round(naive_cpu_seconds, 1),
                "shares": shares,
            }
        )
    )


if __name__ == "__main__":
    main()
