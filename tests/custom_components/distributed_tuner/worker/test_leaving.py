"""Whoever is told to go waits for the end of a short epoch, and for nothing else."""

from __future__ import annotations

import threading
import time

from custom_components.distributed_tuner.worker.leaving import Leaving

LONG = 3600.0


def waiting(leaving: Leaving, patience_seconds: float) -> threading.Thread:
    thread = threading.Thread(target=leaving.wait, args=(patience_seconds,), daemon=True)
    thread.start()
    return thread


def test_with_nothing_at_stake_it_goes_at_once() -> None:
    leaving = Leaving()
    leaving.at_stake(1.0)
    leaving.safe()
    assert not leaving.wanted
    leaving.wait(LONG)
    assert leaving.wanted


def test_finished_epochs_are_waited_for_until_they_are_safe() -> None:
    leaving = Leaving()
    leaving.at_stake(1.0)
    thread = waiting(leaving, LONG)
    ends = time.monotonic() + 30.0
    while not leaving.wanted:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert thread.is_alive()
    leaving.safe()
    thread.join(30.0)
    assert not thread.is_alive()


def test_an_epoch_that_takes_too_long_is_not_waited_for() -> None:
    leaving = Leaving()
    leaving.at_stake(LONG)
    leaving.wait(LONG / 2)
    assert leaving.wanted


def test_a_training_that_hangs_is_not_waited_for_any_longer_than_there_is_time() -> None:
    leaving = Leaving()
    leaving.at_stake(0.01)
    thread = waiting(leaving, 0.1)
    thread.join(30.0)
    assert not thread.is_alive() and leaving.wanted
