"""What the trainings themselves wrote down: one line for each start of a trial and each epoch that began.

Many processes append to one file, each line in one write, so that no kill leaves half of one.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

FILE = "training.log"
START = -1


@dataclasses.dataclass(frozen=True)
class Line:
    """A trial's start (`epoch` is START) or one of its epochs, counted from 0; `time` in seconds since the epoch."""

    trial: str
    attempt: int
    epoch: int
    pid: int
    time: float


def note(root: Path, trial: str, attempt: int, epoch: int) -> None:
    """Appends a line. The kernel's clock, since a fault may have replaced Python's."""
    line = Line(trial, attempt, epoch, os.getpid(), time.clock_gettime(time.CLOCK_REALTIME))
    descriptor = os.open(root / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, json.dumps(dataclasses.asdict(line)).encode() + b"\n")
    finally:
        os.close(descriptor)


def read(root: Path) -> list[Line]:
    """All lines so far, in the order in which they were written."""
    path = root / FILE
    return [Line(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def epochs_lost(lines: Sequence[Line]) -> dict[tuple[str, int], int]:
    """The epochs that were trained again, by (trial, the process that trained them again); zeros are left out.

    A process that takes up a trial at epoch r after others had begun epochs up to b trains b - r + 1 epochs again: the
    one that was under way, and finished ones that were not saved.
    """
    begun: dict[tuple[str, int], int] = {}
    started: set[tuple[str, int, int]] = set()
    lost: dict[tuple[str, int], int] = {}
    for line in lines:
        if line.epoch == START:
            continue
        training = line.trial, line.attempt
        last = begun.get(training, -1)
        if (*training, line.pid) not in started:
            started.add((*training, line.pid))
            if last >= line.epoch:
                lost[line.trial, line.pid] = last - line.epoch + 1
        begun[training] = max(last, line.epoch)
    return lost


def trained_at_once(lines: Sequence[Line], seconds: float) -> set[str]:
    """The trials that one process still began epochs of, so long after another one had taken them up."""
    first: dict[str, dict[int, float]] = collections.defaultdict(dict)
    twice = set()
    for line in lines:
        firsts = first[line.trial]
        firsts.setdefault(line.pid, line.time)
        later = [time for pid, time in firsts.items() if pid != line.pid and time > firsts[line.pid]]
        if any(line.time > time + seconds for time in later):
            twice.add(line.trial)
    return twice


def started_after(lines: Sequence[Line], ended: dict[str, float]) -> set[str]:
    """The trials that were started after they had become final; `ended` says when that was."""
    return {line.trial for line in lines if line.epoch == START and line.time > ended.get(line.trial, float("inf"))}
