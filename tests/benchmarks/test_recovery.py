"""The benchmark of losses: what a log of epochs says of one, and one of each kind for real."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from benchmarks import losses, recovery
from benchmarks.losses import Begun, Loss, Recovery

LOSS = Loss(when=20.5, pid=1, number=signal.SIGKILL, trial_id="0")
BEFORE = [Begun(19.0, 1, "0", 6), Begun(20.0, 1, "0", 7), Begun(20.2, 2, "1", 3)]


@pytest.mark.parametrize(("epoch", "lost"), [(7, 1), (8, 0), (5, 3)])
def test_epochs_that_are_begun_again_were_lost(epoch: int, lost: int) -> None:
    after = [Begun(21.2, 2, "1", 4), Begun(22.0, 3, "0", epoch), Begun(23.0, 3, "0", epoch + 1)]
    assert losses.recovery(LOSS, [*BEFORE, *after]) == Recovery(LOSS, 1.5, lost)


def test_a_trial_that_does_not_go_on_yet_has_no_figures() -> None:
    assert losses.recovery(LOSS, BEFORE) is None
    # The process wrote down an epoch while the signal was on its way.
    assert losses.recovery(LOSS, [*BEFORE, Begun(20.6, 1, "0", 8)]) is None


def test_the_figures_are_medians_and_maxima() -> None:
    told = Loss(0.0, 1, signal.SIGTERM, "1")
    chief = Loss(0.0, 9, signal.SIGKILL)
    recoveries = [Recovery(LOSS, 1.0, 1), Recovery(LOSS, 3.0, 0), Recovery(told, 2.0, 1)]
    assert recovery.figures([*recoveries, Recovery(chief, 0.5), Recovery(chief, 1.5)], [0.02, 0.04, 0.25]) == {
        "epochs_lost_max": 1,
        "epochs_lost_sigkill_mean": 0.5,
        "epochs_lost_sigterm_mean": 1,
        "worker_death_seconds": 2.0,
        "worker_death_seconds_max": 3.0,
        "chief_death_seconds": 1.0,
        "chief_death_seconds_max": 1.5,
        "idle_start_seconds": 0.04,
        "idle_start_seconds_max": 0.25,
    }


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert losses.read(tmp_path / "absent") == []
    (tmp_path / "log").write_text("20.25 7 03 4\n")
    assert losses.read(tmp_path / "log") == [Begun(20.25, 7, "03", 4)]


@pytest.mark.timeout(900)
def test_a_quick_run_loses_at_most_the_epoch_under_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert recovery.main(["--quick"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["epochs_lost_max"] <= 1
    assert figures["worker_death_seconds"] > 0.0 and figures["chief_death_seconds"] > 0.0
    assert figures["idle_start_seconds"] > 0.0
    # Side by side: stock never goes on by itself, and begins at the first epoch where it is helped.
    assert figures["stock_worker_death_seconds"] is None and figures["stock_chief_death_seconds"] is None
    assert figures["stock_epochs_lost"] > 1 and figures["stock_worker_restart_epochs_lost"] > 1
    assert figures["stock_worker_restart_seconds"] > 0.0 and figures["stock_chief_restart_seconds"] > 0.0
