"""The benchmark of a worker's memory: its arithmetic, a process and its children, and a few trials for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import memory
from benchmarks.memory import Plan, Ran, Reading

MB = 10**6
# A trial a second, each in a process of its own or not.
TRIALS = [Ran(1 + number // 100, 10.0 + number, 11.0 + number) for number in range(200)]


def readings(*points: tuple[float, int]) -> list[Reading]:
    """A reading in each trial of 100 MB, and what is more at some times."""
    return [Reading(trial.began + 0.5, 100 * MB) for trial in TRIALS] + [Reading(when, mb * MB) for when, mb in points]


def test_the_highest_reading_of_a_window_counts_and_of_all_that_follows() -> None:
    # The first trial's compiling counts for nothing, nor does what lies before and after the trials.
    found = memory.figures(
        readings((5.0, 900), (10.1, 400), (25.5, 120), (150.5, 180), (205.5, 132)), TRIALS, memory.FULL
    )
    assert found == {
        "rss_ratio_200_to_20": 1.5,
        "rss_20_mb": 120.0,
        "rss_200_mb": 132.0,
        "rss_peak_mb": 900.0,
        "processes": 2,
        "seconds_a_trial": 1.0,
    }


def test_a_process_that_is_fresh_at_the_last_trial_gains_nothing_by_it() -> None:
    grown = [Reading(trial.began + 0.5, (100 + number) * MB) for number, trial in enumerate(TRIALS)]
    grown[-1] = Reading(grown[-1].when, 50 * MB)
    found = memory.figures(grown, TRIALS, memory.FULL)
    assert (found["rss_20_mb"], found["rss_200_mb"]) == (119.0, 298.0)
    assert found["rss_ratio_200_to_20"] == round(298 / 119, 3)


def test_a_search_that_was_not_watched_has_no_figures() -> None:
    with pytest.raises(RuntimeError, match="no reading between the beginning of trial 11 and the end of trial 20"):
        memory.figures([Reading(1.0, MB)], TRIALS, memory.FULL)
    with pytest.raises(RuntimeError, match="199 trials ran instead of 200"):
        memory.figures(readings(), TRIALS[:-1], memory.FULL)


def test_a_process_is_read_with_its_children() -> None:
    program = "import sys; block = bytearray(50_000_000); print('there', flush=True); sys.stdin.read()"
    before = memory.resident(os.getpid())
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"there\n"
        assert memory.resident(child.pid) > 50 * MB
        assert memory.resident(os.getpid()) > before + 50 * MB
    assert memory.resident(child.pid) == 0


def test_a_log_is_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("7 3.5 4.0\n7 1.0 2.5\n")
    assert memory.read(tmp_path / "log") == [Ran(7, 1.0, 2.5), Ran(7, 3.5, 4.0)]


def test_it_measures_as_promised() -> None:
    assert Plan(first=20, trials=200) == memory.FULL


@pytest.mark.timeout(900)
def test_a_quick_run_ends_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert memory.main(["--quick"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    names = {"rss_ratio_13_to_11", "rss_11_mb", "rss_13_mb", "rss_peak_mb", "processes", "seconds_a_trial"}
    assert set(found) == names | {f"stock_{name}" for name in names}
    assert found["processes"] == found["stock_processes"] == 1
    assert found["rss_11_mb"] > 100.0 and found["stock_rss_ratio_13_to_11"] >= 1.0
