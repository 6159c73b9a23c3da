"""The made-up search is one that could have happened."""

from __future__ import annotations

import itertools

import pytest

from custom_components.distributed_tuner.record.record import Outcome, TrialStatus
from custom_components.distributed_tuner.report.example import example_now, example_record


@pytest.mark.parametrize("ended", [True, False])
def test_the_example_could_have_happened(ended: bool) -> None:
    record = example_record(200, 7, seed=1, ended=ended)
    now = example_now(record)
    per_worker: dict[str, list[tuple[float, float]]] = {}
    for trial in record.trials:
        ends = [stay.ended or now for stay in trial.stays]
        assert all(stay.started >= end for stay, end in zip(trial.stays[1:], ends, strict=False))
        assert (trial.score is not None) is (trial.status is TrialStatus.COMPLETED)
        for stay, end in zip(trial.stays, ends, strict=True):
            per_worker.setdefault(stay.worker, []).append((stay.started, end))
    assert len(per_worker) == 7
    for spans in per_worker.values():
        spans.sort()
        assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(spans))


def test_the_example_shows_every_outcome_a_report_draws() -> None:
    outcomes = {stay.outcome for trial in example_record().trials for stay in trial.stays}
    assert outcomes == {Outcome.COMPLETED, Outcome.FAILED, Outcome.LOST, Outcome.RELEASED}
    statuses = {trial.status for trial in example_record(ended=False).trials}
    assert TrialStatus.RUNNING in statuses


def test_equal_seeds_give_equal_records() -> None:
    assert example_record(30, 3, seed=5) == example_record(30, 3, seed=5)
    assert example_record(30, 3, seed=5) != example_record(30, 3, seed=6)
