"""Runs benchmarks as processes of their own and gathers their last lines into a table.

A benchmark is a module that prints what it likes and ends with one line of JSON: its figures by name. A process each,
because what one has imported or left in memory would colour the next one's times.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ("startup", "overhead", "oracle", "recovery", "memory", "quality", "pipeline", "serving", "cluster")
ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "runs" / "benchmarks.md"
DEADLINE_SECONDS = 3600.0


@dataclass(frozen=True)
class Result:
    """What one benchmark gave: its figures by name, or the reason why there are none."""

    name: str
    seconds: float
    figures: dict[str, object] = field(default_factory=dict)
    failure: str = ""


def run_all(names: Sequence[str], *, table: Path = TABLE, deadline: float = DEADLINE_SECONDS) -> int:
    """Runs the benchmarks in turn, each for `deadline` seconds at most, and writes and prints the table.

    One that fails does not keep the others from running.

    Returns:
        The exit status: 1 if any failed.
    """
    results = [run_one(f"benchmarks.{name}", deadline=deadline) for name in names]
    text = render(results)
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(text, encoding="utf-8")
    print(f"\n{text}\nWritten to {table}", flush=True)
    return 1 if any(result.failure for result in results) else 0


def run_one(module: str, *, deadline: float) -> Result:
    """Runs `python -m module`, shows its output as it comes, and reads the figures from its last line."""
    name = module.rpartition(".")[2]
    print(f"== {name}", flush=True)
    started = time.monotonic()
    command = [sys.executable, "-m", module]
    lines: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        # SIGTERM, not SIGKILL: a benchmark has children of its own to end.
        timer = threading.Timer(deadline, process.terminate)
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line.strip())
            status = process.wait()
        finally:
            timer.cancel()
    seconds = time.monotonic() - started
    if status != 0:
        late = f" after its deadline of {deadline:g} s" if seconds >= deadline else ""
        return Result(name, seconds, failure=f"ended with status {status}{late}; its output is above")
    return _read(name, seconds, lines)


def _read(name: str, seconds: float, lines: list[str]) -> Result:
    last = next((line for line in reversed(lines) if line), "")
    try:
        figures = json.loads(last)
    except ValueError:
        figures = None
    if not isinstance(figures, dict):
        return Result(name, seconds, failure=f"its last line is not a JSON object: {last[:80]!r}")
    return Result(name, seconds, figures)


def render(results: Sequence[Result]) -> str:
    """Returns the results as a Markdown table, one row a figure, under a line that says which machine they are from."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    rows = [f"Measured on {machine}.", "", "| benchmark | figure | value |", "| --- | --- | --- |"]
    for result in results:
        if result.failure:
            rows.append(f"| {result.name} | failed | {result.failure} |")
        rows.extend(f"| {result.name} | {key} | {_show(value)} |" for key, value in result.figures.items())
        rows.append(f"| {result.name} | took | {result.seconds:.0f} s |")
    return "\n".join(rows) + "\n"


def _show(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
