"""What the trainings themselves wrote down: one line for each start of a trial and each epoch that began.

Many processes append to one file, each line in one write, so that no kill leaves half of one.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from custom_components.distributed_tuner.host import variables

FILE = "training.log"
START = -1


@dataclasses.dataclass(frozen=True)
class Line:
    """A trial's start (`epoch` is START) or one of its epochs, counted from 0.

    `process` is the pod's name, in a pod; else the process id. `time` is in seconds since the epoch.
    """

    trial: str
    attempt: int
    epoch: int
    process: str
    time: float


@dataclasses.dataclass(frozen=True)
class Loss:
    """So many epochs of a trial were trained again, since `process` did not finish or save them."""

    trial: str
    process: str
    epochs: int


def note(root: Path, trial: str, attempt: int, epoch: int) -> None:
    """Appends a line. The kernel's clock, since a fault may have replaced Python's."""
    process = os.environ.get(variables.PROCESS) or str(os.getpid())
    line = Line(trial, attempt, epoch, process, time.clock_gettime(time.CLOCK_REALTIME))
    descriptor = os.open(root / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, json.dumps(dataclasses.asdict(line)).encode() + b"\n")
    finally:
        os.close(descriptor)


def read(root: Path) -> list[Line]:
    """All lines so far, in the order in which they were written."""
    path = root / FILE
    return [Line(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def _runs(lines: Sequence[Line]) -> Iterator[tuple[int, Line]]:
    """Each line with its run: a process may run a trial, lose it, and be given it again."""
    runs: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines):
        if line.epoch == START:
            runs[line.trial, line.process] = number
        yield runs[line.trial, line.process], line


def losses(lines: Sequence[Line]) -> list[Loss]:
    """What each run trained again; runs that trained nothing again are left out.

    A run that takes up a trial at epoch r after others had begun epochs up to b trains b - r + 1 epochs again: the one
    that was under way, and finished ones that were not saved.
    """
    furthest: dict[tuple[str, int], Line] = {}
    known: set[int] = set()
    lost = []
    for run, line in _runs(lines):
        if line.epoch == START:
            continue
        last = furthest.get((line.trial, line.attempt))
        if run not in known:
            known.add(run)
            if last is not None and last.epoch >= line.epoch:
                lost.append(Loss(line.trial, last.process, last.epoch - line.epoch + 1))
        if last is None or line.epoch >= last.epoch:
            furthest[line.trial, line.attempt] = line
    return lost


def epochs_lost(lines: Sequence[Line]) -> list[int]:
    """How many epochs each loss of a process cost, see `losses`."""
    return [loss.epochs for loss in losses(lines)]


def trained_at_once(lines: Sequence[Line], seconds: float) -> set[str]:
    """The trials of which a run still began epochs so long after another one had taken them up."""
    taken: dict[str, dict[int, float]] = collections.defaultdict(dict)
    twice = set()
    for run, line in _runs(lines):
        times = taken[line.trial]
        times.setdefault(run, line.time)
        if any(line.time > time + seconds for time in times.values() if time > times[run]):
            twice.add(line.trial)
    return twice


def started_after(lines: Sequence[Line], ended: dict[str, float]) -> set[str]:
    """The trials that were started after they had become final; `ended` says when that was."""
    return {line.trial for line in lines if line.epoch == START and line.time > ended.get(line.trial, float("inf"))}
