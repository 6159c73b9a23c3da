"""The benchmark of a search's start: its parts add up, and one start for real."""

from __future__ import annotations

import json

import pytest

from benchmarks import startup
from benchmarks.startup import Startup


def test_the_figures_are_those_of_the_middle_start() -> None:
    starts = [Startup(9.0, 2.0, 1.0), Startup(5.0, 1.0, 0.5), Startup(6.0, 1.25, 0.25)]
    assert startup.figures(starts) == {
        "seconds": 7.5,
        "fork_server_imports": 6.0,
        "chief_ready": 1.25,
        "first_trial": 0.25,
    }


def test_a_quick_run_ends_with_parts_that_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert startup.main(["--quick"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    seconds = figures.pop("seconds")
    assert all(part > 0.0 for part in figures.values())
    assert sum(figures.values()) == pytest.approx(seconds, abs=0.03)
