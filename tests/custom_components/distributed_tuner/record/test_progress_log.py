"""The chief's log tells how the search goes, and what it says is found again."""

from __future__ import annotations

import logging

import pytest

from custom_components.distributed_tuner.record import progress_log
from custom_components.distributed_tuner.record.progress_log import ProgressLog
from custom_components.distributed_tuner.record.record import TrialStatus
from tests.custom_components.distributed_tuner.records import search, trial


def test_what_changed_is_told_now_and_then_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = [1000.0]
    log = ProgressLog(lambda: now[0])
    log.tell()
    assert caplog.messages == []
    log.note(search(trial("1", 2.0), trial("2", None, TrialStatus.RUNNING)))
    log.tell()
    log.note(search(trial("2", 1.0)))
    log.tell()
    assert len(caplog.messages) == 1 and "1 of 2 trials done, 1 running" in caplog.messages[0]
    now[0] += 60.0
    log.tell()
    log.tell()
    assert len(caplog.messages) == 2 and "best val_loss 1" in caplog.messages[1] and "2 of" in caplog.messages[1]
    log.note(search(trial("3", 0.5)))
    log.tell(last=True)
    assert "3 of" in caplog.messages[2]


def test_the_last_one_in_a_log_is_found() -> None:
    said = f"{progress_log.__name__}: progress"
    text = f"2026-01-01 10:00:00,123 I {said}: one\n2026-01-01 10:00:20,456 I {said}: two; three\nprogress: mine\n"
    assert progress_log.last_in(text) == ("2026-01-01 10:00:20", "two; three")
    assert progress_log.last_in("") is None and progress_log.last_in("progress: mine") is None


def test_the_chiefs_log_has_the_form_that_is_looked_for() -> None:
    record = logging.LogRecord(progress_log.__name__, logging.INFO, "", 0, "progress: %s", ("one",), None)
    formatter = logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s")
    found = progress_log.last_in(formatter.format(record))
    assert found is not None and found[1] == "one"
