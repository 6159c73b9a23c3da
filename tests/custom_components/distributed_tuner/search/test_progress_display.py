"""The progress of a search, on a terminal and in a log."""

from __future__ import annotations

import dataclasses
import io
import os
import pty
import re
import select
from collections.abc import Iterator

import pytest

from custom_components import console
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialRecord, TrialStatus
from custom_components.distributed_tuner.search.progress_display import (
    LOG_AT_LEAST_EVERY,
    ProgressDisplay,
)
from tests.custom_components.distributed_tuner.report.helpers import STARTED, completed, failed, search, stay

NOW = STARTED + 40


def running(trial_id: str, since: float) -> TrialRecord:
    return TrialRecord(trial_id, TrialStatus.RUNNING, {"units": 1}, stays=(stay(since, None, Outcome.RUNNING),))


def halfway() -> SearchRecord:
    return search(
        completed("1", 3.0), completed("2", 2.5), running("3", 36), failed("4", "no"), max_trials=1000, ended=None
    )


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    console.use(stream)
    yield stream
    console.use(None)


def test_what_the_search_waits_for_stands_alone_before_the_first_trial_and_in_the_line_after(log: io.StringIO) -> None:
    with ProgressDisplay(log_every=0.0) as display:
        display.tell("waiting for a machine: chief: 0/3 nodes are available")
        display.tell("waiting for a machine: chief: 0/3 nodes are available")
        display.tell("")
        display.update(search(ended=None), NOW, 1)
        display.tell("waiting for a machine: spot-0: no GPU")
        display.update(search(ended=None), NOW + 100, 1)
    lines = log.getvalue().splitlines()
    assert lines[0] == "search: waiting for a machine: chief: 0/3 nodes are available"
    assert "waiting" not in lines[1] and lines[2].endswith("; waiting for a machine: spot-0: no GPU")
    assert len(lines) == 3


def test_a_log_gets_a_changed_line_at_intervals_and_the_last_state_at_the_end(log: io.StringIO) -> None:
    trials = [completed(str(index), 1.0) for index in range(9)]
    with ProgressDisplay(log_every=5) as display:
        for index in range(9):  # one more trial each second
            display.update(search(*trials[: index + 1], ended=None), NOW + index, 1)
    done = re.findall(r"search: (\d+) trials? done", log.getvalue())
    assert done == ["1", "6", "9"]


def test_a_log_shows_now_and_then_that_nothing_happens(log: io.StringIO) -> None:
    with ProgressDisplay(log_every=5) as display:
        for second in range(int(LOG_AT_LEAST_EVERY * 2) + 2):
            display.update(halfway(), NOW + second, 1)
    assert 3 <= log.getvalue().count("\n") <= 4


def test_a_notice_is_a_line_of_its_own_once(log: io.StringIO) -> None:
    record = dataclasses.replace(halfway(), notices=("the seed is the user's",))
    with ProgressDisplay(log_every=0.0) as display:
        display.update(record, NOW, 1)
        display.update(dataclasses.replace(record, notices=(*record.notices, "and so is the end")), NOW + 1, 1)
    lines = log.getvalue().splitlines()
    assert [line for line in lines if "note:" in line] == [
        "search: note: the seed is the user's",
        "search: note: and so is the end",
    ]
    assert len(lines) == 3


def test_a_log_line_is_one_line_without_markup_or_control_codes(log: io.StringIO) -> None:
    record = search(completed("[red]1[/red]", 1.0), objective="x" * 200, ended=None)
    with ProgressDisplay() as display:
        display.update(record, NOW, 1)
    (line,) = log.getvalue().splitlines()
    assert "[red]1[/red]" in line
    assert line.isprintable()


def test_a_display_without_an_update_says_nothing(log: io.StringIO) -> None:
    with ProgressDisplay():
        pass
    assert log.getvalue() == ""


def test_a_terminal_has_one_line_that_is_redrawn_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        console.use(terminal)
        try:
            with pytest.raises(KeyboardInterrupt), ProgressDisplay() as display:
                display.update(search(completed("1", 3.0), max_trials=4, ended=None), NOW, 1)
                display.update(halfway(), NOW + 1, 2)
                raise KeyboardInterrupt
        finally:
            console.use(None)
        terminal.flush()
        shown = b""
        while select.select([ours], [], [], 0)[0]:
            shown += os.read(ours, 65536)
    os.close(ours)
    text = shown.decode()
    assert "1 of 4 trials done" in text
    assert "2 of 1,000 trials done, 1 running, 1 failed; 2 workers" in text
    assert "\x1b[2K" in text  # the first line was wiped
    assert text.rindex("\x1b[?25h") > text.rindex("trials done")  # the cursor is back
