"""How often a state is saved."""

from __future__ import annotations

import pytest

from custom_components.distributed_tuner.worker.resume.pace import Pace


@pytest.mark.parametrize(
    ("unsaved", "cost", "due"),
    [
        (0.001, None, True),  # nothing is saved yet
        (0.05, 0.02, False),
        (0.2, 0.02, True),  # a tenth of the time
        (0.9, 5.0, False),
        (1.0, 5.0, True),  # an epoch of a second is saved whatever it costs
    ],
)
def test_due(unsaved: float, cost: float | None, due: bool) -> None:
    assert Pace().due(unsaved, cost) is due


def test_cheap_saves_take_at_most_their_share_of_the_time() -> None:
    pace, epoch, cost = Pace(share=0.1, unsaved_seconds=1.0), 0.005, 0.02
    trained = saving = unsaved = 0.0
    for _ in range(10_000):
        trained += epoch
        unsaved += epoch
        if pace.due(unsaved, cost):
            saving, unsaved = saving + cost, 0.0
    assert saving / trained <= 0.1


@pytest.mark.parametrize(("cost", "unsaved", "due"), [(0.05, 0.6, True), (3.0, 10.0, False), (3.0, 31.0, True)])
def test_in_a_bucket_saving_keeps_to_its_share_for_longer(cost: float, unsaved: float, due: bool) -> None:
    assert Pace.in_directory("gs://bucket/search").due(unsaved, cost) is due
    assert Pace.in_directory("gs://bucket/search").due(61.0, 1000.0)
    assert Pace.in_directory("/runs/search") == Pace()
