"""What is seen of a search tells when it got over a disruption, and what that cost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from tests.cluster.chaos.campaign import TIMES_AWAY, order
from tests.cluster.chaos.recovery import Disruption, Hit, Sights, epochs_lost, recovery, trials_lost
from tests.cluster.chaos.world import AWAY, KINDS
from tests.harness.chaos.training_log import START, Line


def run(trial: str, pod: str, start: float, epochs: Sequence[int]) -> list[Line]:
    """A line each second."""
    return [Line(trial, 0, epoch, pod, start + number) for number, epoch in enumerate([START, *epochs])]


def sights(lines: Sequence[Line], **more: Any) -> Sights:
    return Sights(
        **{"lines": sorted(lines, key=lambda line: line.time), "ended": {}, "running": {}, "answers": (), **more}
    )


EVICTED = Disruption("evict-worker", 10.0, [Hit("spot-0", "a")])
RUNNING = {"spot-0": [(1.0, "a"), (12.0, "b")]}
BEFORE = run("7", "a", 5.0, [0, 1, 2])


def test_a_worker_is_over_it_when_another_pod_is_there_and_its_trial_goes_on() -> None:
    what = recovery(EVICTED, sights([*BEFORE, *run("7", "b", 15.0, [2])], running=RUNNING))
    assert (what.works, what.replaced, what.open) == (6.0, 2.0, [])


def test_the_start_of_a_trial_is_no_training_yet() -> None:
    what = recovery(EVICTED, sights([*BEFORE, *run("7", "b", 15.0, [])], running=RUNNING))
    assert what.works is None and what.open == ["trial 7 of a is not trained"]


def test_a_trial_that_has_ended_needs_no_training() -> None:
    assert recovery(EVICTED, sights(BEFORE, running=RUNNING, ended={"7": 11.0})).works == 1.0
    before = recovery(EVICTED, sights(BEFORE, running=RUNNING, ended={"7": 9.0}))
    assert before.works is None and before.open == []


def test_a_pod_without_a_successor_is_missed() -> None:
    what = recovery(EVICTED, sights([], running={"spot-0": [(1.0, "a")]}))
    assert what.replaced is None and what.open == ["no pod of spot-0 runs after a"]


def test_the_chief_is_over_it_when_its_successor_answers() -> None:
    evicted = Disruption("evict-chief", 10.0, [Hit("chief", "c")])
    running = {"chief": [(1.0, "c"), (12.0, "d")]}
    assert recovery(evicted, sights([], running=running, answers=[9.0, 10.5, 14.0])).works == 4.0
    assert recovery(evicted, sights([], running=running, answers=[9.0, 10.5])).open == ["the chief does not answer"]


def test_the_absence_of_the_api_server_is_over_when_it_is_back() -> None:
    assert recovery(Disruption(AWAY, 10.0, over=42.0), sights([])).works == 32.0


def test_what_is_lost_belongs_to_the_disruption_that_took_the_pod() -> None:
    lines = [*BEFORE, *run("7", "b", 15.0, [2, 3]), *run("7", "c", 20.0, [3])]
    assert epochs_lost([EVICTED], lines) == {"evict-worker": [1], "": [1]}
    assert trials_lost([EVICTED], sights(BEFORE)) == {"evict-worker": 1}
    assert trials_lost([EVICTED], sights(BEFORE, ended={"7": 30.0})) == {}


@pytest.mark.parametrize("count", [8, 50, 102])
def test_the_order_is_a_seed_s_and_has_as_many_as_were_asked_for(count: int) -> None:
    kinds = order(count, random.Random(3))
    assert kinds == order(count, random.Random(3)) != order(count, random.Random(4))
    assert len(kinds) == count and Counter(kinds)[AWAY] == TIMES_AWAY
    assert set(kinds) <= set(KINDS)
    if count == 102:
        assert set(kinds) == set(KINDS)
