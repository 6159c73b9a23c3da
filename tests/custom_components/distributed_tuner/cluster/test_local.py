"""When the local cluster starts a process anew."""

from __future__ import annotations

from custom_components.distributed_tuner.cluster.local import next_pause


def pauses(lived_seconds: float, deaths: int) -> list[float]:
    """The pauses before the starts of a process that dies again and again after so long."""
    found = [0.0]
    for _ in range(deaths):
        found.append(next_pause(lived_seconds, found[-1]))
    return found[1:]


def test_a_process_that_dies_at_its_start_is_started_ever_more_seldom() -> None:
    assert pauses(0.2, 9) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_process_that_is_killed_in_its_work_is_started_at_once_however_often() -> None:
    assert pauses(5.0, 30) == [0.1] * 30


def test_one_kill_in_its_work_makes_up_for_earlier_deaths_at_the_start() -> None:
    assert next_pause(100.5, pauses(0.2, 9)[-1]) == 0.1
    assert next_pause(99.5, pauses(0.2, 9)[-1]) == 10.0
