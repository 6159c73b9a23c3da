"""Whoever is told to go waits for the end of a short epoch, and for nothing else."""

from __future__ import annotations

import threading
import time

from custom_components.distributed_tuner.worker.termination import Departure

LONG = 3600.0


def waiting(departure: Departure, patience_seconds: float) -> threading.Thread:
    thread = threading.Thread(target=departure.wait, args=(patience_seconds,), daemon=True)
    thread.start()
    return thread


def test_with_nothing_at_stake_it_goes_at_once() -> None:
    departure = Departure()
    departure.at_stake(1.0)
    departure.safe()
    assert not departure.wanted
    departure.wait(LONG)
    assert departure.wanted


def test_finished_epochs_are_waited_for_until_they_are_safe() -> None:
    departure = Departure()
    departure.at_stake(1.0)
    thread = waiting(departure, LONG)
    ends = time.monotonic() + 30.0
    while not departure.wanted:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert thread.is_alive()
    departure.safe()
    thread.join(30.0)
    assert not thread.is_alive()


def test_an_epoch_that_takes_too_long_is_not_waited_for() -> None:
    departure = Departure()
    departure.at_stake(LONG)
    departure.wait(LONG / 2)
    assert departure.wanted


def test_a_training_that_hangs_is_not_waited_for_any_longer_than_there_is_time() -> None:
    departure = Departure()
    departure.at_stake(0.01)
    thread = waiting(departure, 0.1)
    thread.join(30.0)
    assert not thread.is_alive() and departure.wanted
