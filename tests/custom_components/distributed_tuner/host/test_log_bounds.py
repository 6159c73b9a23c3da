"""A log that grows and grows keeps its two ends, whoever writes to it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from custom_components.distributed_tuner.host import log_bounds
from custom_components.distributed_tuner.host.log_bounds import LogBounds, cut

MARK = re.compile(r"^\[([\d,]+) bytes are left out here\] *$", re.MULTILINE)


def lines(first: int, last: int) -> str:
    return "".join(f"line {number:06d}\n" for number in range(first, last))


def left_out(text: str) -> int:
    (count,) = MARK.findall(text)
    return int(count.replace(",", ""))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker-0.log"


def test_a_short_log_and_none_stay_as_they_are(log: Path) -> None:
    cut(log)
    assert not log.exists()
    log.write_text(lines(0, 100))
    cut(log, most=1200)
    assert log.read_text() == lines(0, 100)


def test_a_long_log_keeps_whole_lines_of_both_ends_and_says_what_is_missing(log: Path) -> None:
    text = lines(0, 100_000)
    log.write_text(text)
    cut(log, most=500_000, first=10_000, last=50_000)
    begin, end = MARK.split(log.read_text())[::2]
    assert text.startswith(begin) and text.endswith(end.removeprefix("\n"))
    assert begin.endswith("\n") and end.startswith("\nline ")
    assert 5_000 < len(begin) <= 10_000 and 50_000 <= len(end) < 60_000
    assert left_out(log.read_text()) == len(text) - len(begin) - len(end) + 1
    with log.open("a") as file:
        file.write(lines(100_000, 200_000))
    cut(log, most=500_000, first=10_000, last=50_000)
    again, end = MARK.split(log.read_text())[::2]
    assert again == begin and end.endswith("line 199999\n")
    assert left_out(log.read_text()) == len(lines(0, 200_000)) - len(begin) - len(end) + 1


def test_one_endless_line_is_cut_too(log: Path) -> None:
    log.write_text("x" * 1_000_000)
    for _ in range(2):
        cut(log, most=500_000, first=10_000, last=50_000)
        text = log.read_text()
        assert len(text) < 70_000 and left_out(text) == 1_000_000 - text.count("x")
        with log.open("a") as file:
            file.write("x" * 500_000)
        cut(log, most=500_000, first=10_000, last=50_000)
        log.write_text("x" * 1_000_000)


PRINTS = """
import os, sys, time
most = int(sys.argv[1])
block = b"".join(b"line %012d\\n" % number for number in range(10_000))
for _ in range(int(sys.argv[2])):
    os.write(1, block)
    while os.fstat(1).st_size > most:
        time.sleep(0.01)
os.write(2, b"the last words\\n")
"""


@pytest.mark.timeout(240)
def test_a_process_that_prints_without_end_takes_little_room_and_its_last_words_stay(log: Path) -> None:
    """It writes by descriptors of its own, and waits only where nobody cuts."""
    blocks, most = 6_000, 3 * log_bounds.MOST_BYTES
    bounds = LogBounds(log.parent)
    with log.open("ab") as file:
        command = [sys.executable, "-c", PRINTS, str(most), str(blocks)]
        subprocess.run(command, stdout=file, stderr=file, check=True, timeout=200)
    bounds.close()
    bounds.close()
    text = log.read_text()
    printed = blocks * 10_000 * 18
    assert printed > 1_000_000_000 and len(text) <= log_bounds.MOST_BYTES
    assert text.startswith("line 000000000000\n") and text.endswith("the last words\n")
    # Between the last count and the cut itself is a moment.
    assert left_out(text) > 0.98 * printed - 2 * log_bounds.MOST_BYTES


def test_a_folder_that_cannot_be_read_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.log").mkdir()
    bounds = LogBounds(tmp_path, every_seconds=0.01)
    bounds.close()
