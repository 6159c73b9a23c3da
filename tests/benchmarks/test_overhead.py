"""The benchmark of the search's own cost: its arithmetic, and one short search for real."""

from __future__ import annotations

import dataclasses
import json

import pytest

from benchmarks import overhead
from custom_components.distributed_tuner.record.record import (
    Direction,
    Outcome,
    SearchRecord,
    Stay,
    TrialRecord,
    TrialStatus,
)


def record(*stays: tuple[float, float], ended: float | None) -> SearchRecord:
    trials = tuple(
        TrialRecord(str(number), TrialStatus.COMPLETED, {}, 1.0, stays=(Stay("w", *stay, Outcome.COMPLETED),))
        for number, stay in enumerate(stays)
    )
    return SearchRecord("s", "loss", Direction.MIN, trials, len(trials), started=100.0, ended=ended)


def test_overhead_runs_from_the_first_trial_to_the_end_and_startup_before_it() -> None:
    done = record((111.0, 113.0), (110.0, 112.0), (112.5, 114.5), (113.0, 115.0), ended=115.5)
    measured = overhead.measure(done, 103.0, workers=2, seconds=2.0)
    assert measured == overhead.Measured(workers=2, startup=7.0, wall=5.5, ideal=4.0)
    assert measured.overhead == 5.5 / 4.0


def test_a_search_without_an_end_has_no_wall_time() -> None:
    with pytest.raises(ValueError, match="has not ended"):
        overhead.measure(record((1.0, 2.0), ended=None), 0.0, workers=1, seconds=1.0)


def test_the_figures_name_the_workers_and_the_longest_startup() -> None:
    one = overhead.Measured(workers=1, startup=7.0, wall=10.5, ideal=10.0)
    results = [one, dataclasses.replace(one, workers=8, startup=9.0, wall=11.0)]
    assert overhead.figures(results) == {"overhead_1": 1.05, "overhead_8": 1.1, "startup_seconds": 9.0}


def test_it_measures_as_promised_what_the_project_promises() -> None:
    plan = overhead.FULL
    assert (plan.trials, plan.seconds, plan.workers) == (64, 2.0, (1, 2, 4, 8))


def test_a_quick_run_ends_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert overhead.main(["--quick"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(figures) == {"overhead_2", "startup_seconds"}
    assert figures["overhead_2"] > 1.0
    assert figures["startup_seconds"] > 0.0
