"""What is read out of the trainings' own log."""

from __future__ import annotations

from tests.harness.chaos.training_log import START, Line, Loss, epochs_lost, losses, started_after, trained_at_once


def lines(*runs: tuple[int, float, list[int]]) -> list[Line]:
    """Runs of one trial: (process, start, epochs), a second for each line."""
    made = [
        Line("0", 0, epoch, str(pid), start + number)
        for pid, start, epochs in runs
        for number, epoch in enumerate([START, *epochs])
    ]
    return sorted(made, key=lambda line: line.time)


def test_an_epoch_under_way_is_lost_with_its_process_and_finished_ones_if_they_begin_again() -> None:
    assert epochs_lost(lines((1, 0.0, [0, 1, 2]))) == []
    assert epochs_lost(lines((1, 0.0, [0, 1]), (2, 10.0, [2, 3]))) == []
    assert epochs_lost(lines((1, 0.0, [0, 1]), (2, 10.0, [1, 2]), (3, 20.0, [0, 1, 2]))) == [1, 3]
    assert epochs_lost(lines((1, 0.0, [0]), (2, 10.0, [0, 1]), (1, 20.0, [1, 2]))) == [1, 1]


def test_a_loss_is_the_process_s_that_had_begun_the_epoch() -> None:
    assert losses(lines((1, 0.0, [0, 1]), (2, 10.0, [1, 2]), (3, 20.0, [1, 2]))) == [
        Loss("0", "1", 1),
        Loss("0", "2", 2),
    ]


def test_two_processes_train_a_trial_at_once_if_the_first_goes_on() -> None:
    assert trained_at_once(lines((1, 0.0, [0, 1, 2]), (2, 2.5, [2])), 3.0) == set()
    assert trained_at_once(lines((1, 0.0, [0, 1, 2, 3, 4, 5, 6]), (2, 1.5, [2])), 3.0) == {"0"}
    # Given back to the first one when the second had lost it.
    assert trained_at_once(lines((1, 0.0, [0]), (2, 5.0, [0, 1]), (1, 20.0, [1, 2])), 3.0) == set()


def test_a_start_after_the_end_is_seen() -> None:
    assert started_after(lines((1, 0.0, [0]), (2, 5.0, [])), {"0": 4.0}) == {"0"}
    assert started_after(lines((1, 0.0, [0]), (2, 5.0, [])), {"0": 6.0, "1": 0.0}) == set()
