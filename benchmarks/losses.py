"""What the loss of a process cost a search, read out of the epochs that its trials wrote down."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Begun:
    """An epoch that a process began, with the time of its first batch in seconds since the epoch."""

    when: float
    pid: int
    trial_id: str
    epoch: int


@dataclasses.dataclass(frozen=True)
class Loss:
    """A process that was sent a signal, when, and what it ran; the chief runs no trial."""

    when: float
    pid: int
    number: signal.Signals
    trial_id: str | None = None


@dataclasses.dataclass(frozen=True)
class Recovery:
    """What a loss cost: time until its trial, or the chief's service, went on, and epochs that were begun again."""

    loss: Loss
    seconds: float
    epochs_lost: int = 0


def read(log: Path) -> list[Begun]:
    """The epochs begun so far, in order."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    fields = (line.split() for line in lines)
    return [Begun(float(when), int(pid), trial_id, int(epoch)) for when, pid, trial_id, epoch in fields]


def recovery(loss: Loss, begun: Sequence[Begun]) -> Recovery | None:
    """What the loss of a worker cost, None as long as its trial does not go on in another process."""
    ours = [epoch for epoch in begun if epoch.trial_id == loss.trial_id]
    before = [epoch for epoch in ours if epoch.pid == loss.pid]
    after = next((epoch for epoch in ours if epoch.when > loss.when and epoch.pid != loss.pid), None)
    if after is None or not before:
        return None
    return Recovery(loss, after.when - loss.when, max(0, before[-1].epoch + 1 - after.epoch))
