"""A search that is disrupted again and again, and what it made of that."""

from __future__ import annotations

import dataclasses
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from custom_components.distributed_tuner.options import SearchOptions
from tests.cluster.chaos import recovery
from tests.cluster.chaos.recovery import Disruption, Recovery, Sights
from tests.cluster.chaos.watched import Watched
from tests.cluster.chaos.world import AWAY, World
from tests.harness.chaos import drag
from tests.harness.chaos.arena import examine
from tests.harness.chaos.audit import Audit, Expected

#: How many of a hundred disruptions are of each kind; AWAY comes besides, twice.
SHARES: Mapping[str, int] = {
    "evict-worker": 36,
    "evict-chief": 12,
    "drain-node": 10,
    "preempt-spot": 16,
    "kill-node": 12,
    "silence-node": 6,
    "restart-api": 6,
}
TIMES_AWAY = 2
# Whoever is killed over and over before an epoch ends is the campaign's doing, not the trial's.
OPTIONS = SearchOptions(
    heartbeat_seconds=1.0, lease_seconds=10.0, grace_seconds=5.0, max_fruitless_losses=1000, start_seconds=300.0
)
_POLL_SECONDS = 0.5
_CHECK_SECONDS = 5.0
_AIM_SECONDS = 240.0
_AIM_AGAIN_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to happen.

    Attributes:
      trials: of the search.
      epochs: of each trial.
      epoch_seconds: that each epoch takes, at least.
      workers: in all groups.
      kinds: the disruptions, in order.
      between: seconds between two of them, at random in between.
      patience: seconds after which a disruption that is not got over is a hang.
      deadline: seconds for the whole search.
    """

    trials: int
    epochs: int
    epoch_seconds: float
    workers: int
    kinds: Sequence[str]
    between: tuple[float, float]
    patience: float
    deadline: float


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the search made of it.

    Attributes:
      seconds: what it took, from the step's start to its end.
      disruptions: those that came about, each with its recovery.
      epochs_lost: by the kind of disruption, "" where none was the cause.
      trials_lost: likewise.
      audit: of the search; None if it did not end.
      hangs: 1 if it hung.
      left: the objects that it left.
      problems: what went wrong, for people.
      dump: of a hanging search.
    """

    seconds: float
    disruptions: Sequence[tuple[Disruption, Recovery]]
    epochs_lost: Mapping[str, Sequence[int]]
    trials_lost: Mapping[str, int]
    audit: Audit | None
    hangs: int
    left: Sequence[str]
    problems: Sequence[str]
    dump: str = ""

    @property
    def lost(self) -> int:
        """Trials that never ended."""
        return self.audit.trials_lost if self.audit else sum(self.trials_lost.values())

    @property
    def epochs_lost_max(self) -> int:
        """The most that the loss of one process cost."""
        return max(itertools.chain.from_iterable(self.epochs_lost.values()), default=0)


def order(count: int, choose: random.Random) -> list[str]:
    """The kinds of `count` disruptions; the API server is away after a third and two thirds of them."""
    others = count - TIMES_AWAY
    exact = {kind: share * others / sum(SHARES.values()) for kind, share in SHARES.items()}
    counts = {kind: int(number) for kind, number in exact.items()}
    for kind in sorted(exact, key=lambda kind: counts[kind] - exact[kind])[: others - sum(counts.values())]:
        counts[kind] += 1
    kinds = list(Counter(counts).elements())
    choose.shuffle(kinds)
    for part in range(TIMES_AWAY, 0, -1):
        kinds.insert(part * others // (TIMES_AWAY + 1), AWAY)
    return kinds


class Hang(RuntimeError):
    """The search, or a part of it, does not go on; the message says which, a line each."""


def suffer(world: World, watched: Watched, plan: Plan, expected: Expected) -> Outcome:
    """Disrupts a search until it is over, or it hangs; then judges it."""
    began = time.monotonic()
    problems, dump = [], ""
    campaign = _Campaign(world, watched, plan, began + plan.deadline)
    try:
        campaign.run()
    except Hang as hang:
        problems, dump = str(hang).splitlines(), watched.dump()
        watched.call_off()
    except BaseException:
        watched.call_off()
        raise
    outcome = judge(watched, world.disruptions, plan, expected, time.monotonic() - began)
    return dataclasses.replace(outcome, hangs=int(bool(dump)), problems=[*problems, *outcome.problems], dump=dump)


class _Campaign:
    def __init__(self, world: World, watched: Watched, plan: Plan, deadline: float) -> None:
        self._world = world
        self._watched = watched
        self._plan = plan
        self._deadline = deadline
        self._checked = time.monotonic()

    def run(self) -> None:
        """Strikes until all is done and the search is over."""
        self._go_on(self._plan.patience, lambda: any(line.epoch >= 0 for line in self._watched.sights().lines))
        began = time.monotonic()
        for done, kind in enumerate(self._plan.kinds):
            each_seconds = (time.monotonic() - began) / done if done else self._plan.between[1]
            self._slow_down(each_seconds * (len(self._plan.kinds) - done))
            self._go_on(self._world.choose.uniform(*self._plan.between))
            aim_until = time.monotonic() + _AIM_SECONDS
            while not (self._watched.over or self._world.strike(kind, self._watched)):
                if time.monotonic() > aim_until:
                    break
                self._go_on(_AIM_AGAIN_SECONDS)
        self._slow_down(0.0)
        while not self._watched.over:
            self._go_on(_CHECK_SECONDS)

    def _slow_down(self, to_come_seconds: float) -> None:
        """Has the search last for so long at least, whatever machine this is."""
        plan, sights = self._plan, self._watched.sights()
        begun = dict.fromkeys(sights.ended, 0)
        for line in sights.lines:
            begun[line.trial] = max(begun.get(line.trial, 0), line.epoch)
        done = sum(plan.epochs if trial in sights.ended else epochs for trial, epochs in begun.items())
        left = plan.trials * plan.epochs - done
        drag.write(
            self._watched.made.directory.root, drag.needed(to_come_seconds, left, plan.epoch_seconds, plan.workers)
        )

    def _go_on(self, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Lets the search go on for so long, or to its end, or until that is enough."""
        ends = time.monotonic() + seconds
        while not self._watched.over and time.monotonic() < ends and not enough():
            self._watched.look()
            self._world.go_on()
            if time.monotonic() - self._checked > _CHECK_SECONDS:
                self._check()
                self._checked = time.monotonic()
            time.sleep(_POLL_SECONDS)

    def _check(self) -> None:
        now, sights, patience = time.time(), self._watched.sights(), self._plan.patience
        hanging = []
        if time.monotonic() > self._deadline:
            hanging.append(f"the search did not end within {self._plan.deadline:g} s")
        for disruption in self._world.disruptions:
            what = recovery.recovery(disruption, sights)
            if what.open and now - disruption.at > patience:
                hanging.append(f"{disruption.kind}, {now - disruption.at:.0f} s ago: {'; '.join(what.open)}")
        news = max([self._watched.began, *(line.time for line in sights.lines), *sights.ended.values()])
        if now - news > patience:
            hanging.append(f"no epoch began and no trial ended for {now - news:.0f} s")
        if hanging and not self._watched.over:
            raise Hang("\n".join(hanging))


def judge(
    watched: Watched, disruptions: Sequence[Disruption], plan: Plan, expected: Expected, seconds: float
) -> Outcome:
    """Holds a search that is over against what was to happen and what it should have found."""
    sights, problems = watched.sights(), []
    recoveries = [(disruption, recovery.recovery(disruption, sights)) for disruption in disruptions]
    if watched.error is not None:
        problems.append(f"{type(watched.error).__name__}: {watched.error}")
    audit = None
    if watched.found is not None:
        audit = examine(watched.made.directory.root, watched.found.record, expected)
        problems += audit.problems
        if watched.found.error is not None:
            problems.append(f"a process gave up: {watched.found.error[1]}")
    if len(disruptions) < len(plan.kinds):
        problems.append(
            f"only {len(disruptions)} of {len(plan.kinds)} disruptions came about before the search was over"
        )
    problems += [f"{kind} trained on for none of its seconds" for kind in _idle_without_api(disruptions, sights)]
    problems += [f"{one} was counted against the Job's backoff limit" for one in sorted(watched.counted)]
    left = watched.made.left()
    problems += [f"{one} was left behind" for one in left]
    return Outcome(
        seconds=seconds,
        disruptions=recoveries,
        epochs_lost=recovery.epochs_lost(disruptions, sights.lines),
        trials_lost=recovery.trials_lost(disruptions, sights),
        audit=audit,
        hangs=0,
        left=left,
        problems=problems,
    )


def _idle_without_api(disruptions: Sequence[Disruption], sights: Sights) -> list[str]:
    """Those absences of the API server during which no training went on."""
    return [
        disruption.kind
        for disruption in disruptions
        if disruption.kind == AWAY
        and disruption.over is not None
        and not any(disruption.at < line.time < disruption.over for line in sights.lines)
    ]
