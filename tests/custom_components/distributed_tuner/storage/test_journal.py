"""The journal: what is acknowledged stays, through torn tails, damage and disks that refuse."""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.storage import journal

ENTRIES: list[dict[str, Any]] = [{"n": 0}, {"n": 1, "text": "ä\n\r x"}, {"n": 2, "deep": {"values": [1.5, None, True]}}]


def write(path: Path, *entries: dict[str, Any]) -> None:
    writer = journal.FileJournal(path)
    for future in [writer.append(entry) for entry in entries]:
        future.result(10)
    writer.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_what_was_appended_is_read_in_order_and_over_several_openings(path: Path) -> None:
    write(path, *ENTRIES[:2])
    write(path, *ENTRIES[2:])
    assert list(journal.read(path)) == ENTRIES


def test_no_journal_is_an_empty_one(path: Path) -> None:
    assert list(journal.read(path)) == []


def test_entries_are_on_the_disk_when_the_future_is_done(path: Path) -> None:
    writer = journal.FileJournal(path)
    writer.append({"n": 1}).result(10)
    assert list(journal.read(path)) == [{"n": 1}]
    writer.close()


def test_a_tail_torn_at_any_byte_is_cut_off_and_appending_goes_on(path: Path) -> None:
    write(path, *ENTRIES)
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        kept = ENTRIES[: sum(end <= size for end in ends)]
        assert list(journal.read(path)) == kept
        write(path, {"after": size})
        assert list(journal.read(path)) == [*kept, {"after": size}]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_told_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "flipped"
    path.unlink(missing_ok=True)
    write(path, *ENTRIES)
    content = bytearray(path.read_bytes())
    # The last newline is what tells a line that was written whole from a torn one.
    place = data.draw(st.integers(0, len(content) - 2))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        entries = list(journal.read(path))
    except CorruptState as damage:
        line = 1 + content[:place].count(b"\n")
        assert f"{path}, line {line}:" in str(damage)
        with pytest.raises(CorruptState):
            journal.FileJournal(path)
        assert path.read_bytes() == content  # nothing is cut off a journal that somebody has to look at
    else:
        assert entries == ENTRIES  # a hex digit's case


@pytest.mark.parametrize(
    "line", [b"\n", b"00000000 {}\n", b"a line\n", b"%08x 3\n" % zlib.crc32(b"3"), bytes(80) + b"\n"]
)
def test_a_last_line_that_ends_is_never_taken_for_a_torn_one(path: Path, line: bytes) -> None:
    write(path, *ENTRIES)
    content = path.read_bytes() + line
    path.write_bytes(content)
    with pytest.raises(CorruptState, match="line 4: the stored search is damaged"):
        journal.FileJournal(path)
    assert path.read_bytes() == content


def test_zeros_that_a_power_cut_left_at_the_end_are_cut_off(path: Path) -> None:
    write(path, *ENTRIES)
    content = path.read_bytes()
    path.write_bytes(content + bytes(4096))
    write(path)
    assert path.read_bytes() == content


REFUSING_DISK = """
import json, resource, signal, sys
from pathlib import Path
from custom_components.distributed_tuner.storage import journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails as on a full disk
path = Path(sys.argv[1])
writer = journal.FileJournal(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
refusal = None
taken = 0
while refusal is None and taken < 100:
    refusal = writer.append({"n": taken}).exception(10)
    taken += refusal is None
if sys.argv[2] == "room again":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
later = writer.append({"n": "later"}).exception(10)
writer.close()
print(json.dumps({"taken": taken, "refusal": type(refusal).__name__, "later": type(later).__name__}))
"""


@pytest.mark.parametrize("disk", ["room again", "full to the end"])
def test_a_disk_that_refuses_fails_the_future_and_nothing_follows(path: Path, disk: str) -> None:
    command = [sys.executable, "-c", REFUSING_DISK, str(path), disk]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert child.returncode == 0, child.stderr
    told = json.loads(child.stdout)
    assert 0 < told["taken"] < 100
    assert (told["refusal"], told["later"]) == ("OSError", "OSError")
    acknowledged = [{"n": number} for number in range(told["taken"])]
    assert list(journal.read(path)) == acknowledged
    write(path, {"n": "room again"})
    assert list(journal.read(path)) == [*acknowledged, {"n": "room again"}]


def short(monkeypatch: pytest.MonkeyPatch, times: int, number: int = errno.ENOMEM) -> None:
    """The kernel is short of memory the next few times."""
    really, left = os.fdatasync, itertools.repeat(None, times)

    def sync(descriptor: int) -> None:
        if next(left, "none") is None:
            raise OSError(number, os.strerror(number))
        really(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)


def test_a_shortage_that_passes_is_waited_out_and_nothing_is_written_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = journal.FileJournal(path)
    writer.append({"n": 0}).result(10)
    short(monkeypatch, times=3)
    writer.append({"n": 1}).result(10)
    writer.append({"n": 2}).result(10)
    writer.close()
    assert list(journal.read(path)) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_shortage_that_lasts_is_told_in_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_SHORTAGE_SECONDS", 0.3)
    writer = journal.FileJournal(path)
    short(monkeypatch, times=1_000)
    refusal = writer.append({"n": 1}).exception(10)
    writer.close()
    assert isinstance(refusal, OSError) and refusal.errno == errno.ENOMEM


def test_a_disk_that_refuses_is_told_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = journal.FileJournal(path)
    short(monkeypatch, times=1, number=errno.EIO)
    refusal = writer.append({"n": 1}).exception(10)
    writer.close()
    assert isinstance(refusal, OSError) and refusal.errno == errno.EIO


def test_what_has_no_place_in_json_is_refused_at_once(path: Path) -> None:
    writer = journal.FileJournal(path)
    with pytest.raises(TypeError):
        writer.append({"n": {1, 2}})
    writer.append({"n": 1}).result(10)
    writer.close()
    assert list(journal.read(path)) == [{"n": 1}]
