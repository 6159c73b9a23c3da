"""A disk that is full in the middle of a search, and has room again later."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from custom_components.distributed_tuner.cluster.local.cluster import CHIEF
from tests.harness.chaos.arena import Arena, failed_clearly
from tests.harness.chaos.faults import Result, together
from tests.harness.chaos.running import Plan, Running

_DEADLINE = 240.0
_DISK_MIB = 16


def full(arena: Arena) -> Result:
    """The search ends with one clear line; with room again the same search goes on from what was acknowledged."""
    fault = "full disk"
    plan = Plan(trials=6 if arena.small else 12, epochs=3)
    expected = arena.expected(plan)
    folder = arena.folder(fault)
    with _disk(folder) as (note, fill, free):
        running = arena.start(fault, plan, root=folder)
        running.wait(lambda: running.record is not None and len(running.record.completed()) >= 2)
        fill(running)
        error = failed_clearly(fault, running, _words(note), deadline=_DEADLINE, note=note)
        free()
        known = {trial.trial_id: trial.score for trial in running.record.completed()} if running.record else {}
        again = arena.start(fault, plan, root=folder)
        result = arena.end(fault, again, expected, deadline=_DEADLINE, note=note)
    kept = {trial.trial_id: trial.score for trial in again.found.record.completed()} if again.found else {}
    lost = [name for name, score in known.items() if kept.get(name) != score]
    result = dataclasses.replace(result, trials_lost=result.trials_lost + len(lost))
    return together(fault, [error, result.but([f"what was acknowledged is gone: {lost}"] if lost else [])])


def of_workers(arena: Arena) -> Result:
    """Only what trials write finds no room: that fails no trial, and ends the search with one clear line."""
    fault = "full disk under a trial"
    plan = Plan(trials=6 if arena.small else 12, epochs=3)
    expected = arena.expected(plan)
    running = arena.start(fault, plan)
    running.wait(lambda: running.record is not None and len(running.record.completed()) >= 2)
    full = running.root / "full"
    full.touch()
    error = failed_clearly(fault, running, ("worker-", *_words("")), deadline=_DEADLINE)
    full.unlink()
    again = arena.start(fault, plan, root=running.root)
    return together(fault, [error, arena.end(fault, again, expected, deadline=_DEADLINE)])


def _words(note: str) -> tuple[str, ...]:
    """What the error has to say. On a full disk there may be room for the chief's own words or not."""
    return "cannot store the search in", "File too large" if note == "RLIMIT_FSIZE" else "is full|No space left"


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[tuple[str, Callable[[Running], None], Callable[[], None]]]:
    """(how, what fills the disk under `folder`, what makes room): a small disk, or a limit where none is allowed."""
    options = f"size={_DISK_MIB}m"
    if not _mounted(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]):
        yield "RLIMIT_FSIZE", _limit_chief, lambda: None
        return
    ballast = folder / "ballast"
    try:
        yield "tmpfs", lambda running: _fill(ballast, running), lambda: ballast.unlink()
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mounted(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _fill(ballast: Path, running: Running) -> None:
    """Takes every byte, and those that a process gives back meanwhile, until the search ends."""
    until = time.monotonic() + 60.0
    with ballast.open("ab", buffering=0) as file:
        while not running.over and time.monotonic() < until:
            try:
                file.write(b"\0" * 4096)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                running.pause(0.01)


def _limit_chief(running: Running) -> None:
    """No file of the chief may grow any more: its journal is the largest by far."""

    def limit() -> bool:
        pid = running.cluster.pid(CHIEF)
        if pid is None:
            return False
        size = running.directory.journal.stat().st_size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
        return True

    running.wait(limit, 60.0)
