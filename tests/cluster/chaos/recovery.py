"""When a search got over a disruption. Pure: whoever calls it has looked at pods and read the trainings' log."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Mapping, Sequence

from tests.harness.chaos import training_log
from tests.harness.chaos.training_log import Line


@dataclasses.dataclass(frozen=True)
class Hit:
    """A pod that a disruption took, and the member that it was."""

    member: str
    pod: str


@dataclasses.dataclass(frozen=True)
class Disruption:
    """One disruption. Times are seconds since the epoch.

    Attributes:
      kind: its name.
      at: when it struck.
      hits: the pods that it took.
      over: when what was taken from all was back, such as the API server; None where nothing was.
    """

    kind: str
    at: float
    hits: Sequence[Hit] = ()
    over: float | None = None


@dataclasses.dataclass(frozen=True)
class Sights:
    """What was seen of a search, all times in seconds since the epoch.

    Attributes:
      lines: what the trainings wrote down.
      ended: the trials that are final, and when that was.
      running: by member, when each of its pods was first seen running, as (time, pod), in order.
      answers: when the chief answered the step, in order.
    """

    lines: Sequence[Line]
    ended: Mapping[str, float]
    running: Mapping[str, Sequence[tuple[float, str]]]
    answers: Sequence[float]


@dataclasses.dataclass(frozen=True)
class Recovery:
    """What became of a disruption.

    Attributes:
      works: seconds until all that it had interrupted went on: a trial in training again or ended, the chief
        answering, the API server answering. None if that was not seen, or if there was nothing to interrupt.
      replaced: seconds until each pod that it took had a successor; None if that was not seen.
      open: what has not come back, for people; empty once all is well.
    """

    works: float | None
    replaced: float | None
    open: Sequence[str]


def recovery(disruption: Disruption, sights: Sights, chief: str = "chief") -> Recovery:
    """Looks for the end of a disruption."""
    successors = {hit: _successor(hit, disruption.at, sights) for hit in disruption.hits}
    works: list[float | None] = [] if disruption.over is None else [disruption.over]
    missing = [f"no pod of {hit.member} runs after {hit.pod}" for hit, time in successors.items() if time is None]
    for hit, successor in successors.items():
        if hit.member == chief:
            works.append(None if successor is None else _first(sights.answers, successor))
            if works[-1] is None:
                missing.append("the chief does not answer")
            continue
        trial = _trial_of(hit.pod, disruption.at, sights)
        if trial is not None:
            works.append(_resumed(trial, hit.pod, disruption.at, sights))
            if works[-1] is None:
                missing.append(f"trial {trial} of {hit.pod} is not trained")
    return Recovery(_seconds(works, disruption.at), _seconds(list(successors.values()), disruption.at), missing)


def epochs_lost(disruptions: Sequence[Disruption], lines: Sequence[Line]) -> dict[str, list[int]]:
    """How many epochs were trained again, by the kind of disruption that took the pod; "" where none did."""
    kinds = {hit.pod: disruption.kind for disruption in disruptions for hit in disruption.hits}
    lost: dict[str, list[int]] = {}
    for loss in training_log.losses(lines):
        lost.setdefault(kinds.get(loss.process, ""), []).append(loss.epochs)
    return lost


def trials_lost(disruptions: Sequence[Disruption], sights: Sights) -> dict[str, int]:
    """How many trials were never ended, by the kind of disruption that took their last pod; "" where none did."""
    kinds = {hit.pod: disruption.kind for disruption in disruptions for hit in disruption.hits}
    last = {line.trial: line.process for line in sights.lines}
    lost: dict[str, int] = {}
    for trial, process in last.items():
        if trial not in sights.ended:
            kind = kinds.get(process, "")
            lost[kind] = lost.get(kind, 0) + 1
    return lost


def _successor(hit: Hit, at: float, sights: Sights) -> float | None:
    return next((time for time, pod in sights.running.get(hit.member, ()) if time >= at and pod != hit.pod), None)


def _trial_of(pod: str, at: float, sights: Sights) -> str | None:
    """The trial that the pod had: the one that it wrote of last, unless that had ended by then."""
    trial = next((line.trial for line in reversed(sights.lines) if line.process == pod), None)
    return None if trial is None or sights.ended.get(trial, float("inf")) < at else trial


def _resumed(trial: str, pod: str, at: float, sights: Sights) -> float | None:
    """When another pod began an epoch of the trial, or the trial was final."""
    times = [
        line.time
        for line in sights.lines
        if line.trial == trial and line.process != pod and line.epoch >= 0 and line.time >= at
    ]
    if trial in sights.ended:
        times.append(sights.ended[trial])
    return min(times, default=None)


def _first(times: Sequence[float], since: float) -> float | None:
    index = bisect.bisect_left(times, since)
    return times[index] if index < len(times) else None


def _seconds(times: Sequence[float | None], since: float) -> float | None:
    found = [time for time in times if time is not None]
    return max(found) - since if found and len(found) == len(times) else None
