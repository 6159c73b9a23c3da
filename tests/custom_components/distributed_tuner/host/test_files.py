"""Files that are never met half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.host import files


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_whole_and_with_its_mode(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    files.write_atomically(path, b"old")
    files.write_atomically(path, b"new", durable=durable, mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_is_for_those_whom_the_umask_lets(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        files.write_atomically(tmp_path / "file", b"x")
        files.write_atomically(tmp_path / "secret", b"x", mode=0o600)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"file": mode, "secret": 0o600}


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from custom_components.distributed_tuner.host import files

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    files.write_atomically(Path(sys.argv[1]), b"x" * 5000)
except OSError as error:
    print(type(error).__name__)
"""


def test_where_the_disk_refuses_the_old_file_stays_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    child = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=60)
    assert child.stdout == "OSError\n", child.stderr
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_absent_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_atomically(tmp_path / "absent" / "file", b"")


def test_json_is_read_or_absent_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    assert files.read_json(path) is None
    path.write_text('{"a": ["ä", 1]}', encoding="utf-8")
    assert files.read_json(path) == {"a": ["ä", 1]}


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe\x00\x01", b"\x00" * 100, b"[" * 100_000])
def test_what_is_no_json_is_told_with_its_file_and_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(CorruptState) as damage:
        files.read_json(path, "Buy a disk")
    assert f"{path} is damaged" in str(damage.value) and str(damage.value).endswith(". Buy a disk")


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert files.tail(path) == ""
    path.write_text("one\ntwo\nthree\n")
    assert files.tail(path, 2) == "two\nthree"
    assert files.tail(path, 20) == "one\ntwo\nthree"
    path.write_bytes(b"\xff\xfe" * 100_000 + b"\nlast\n")  # a log of megabytes that is no text
    assert files.tail(path, 1) == "last"
