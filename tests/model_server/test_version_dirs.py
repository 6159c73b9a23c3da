"""What is a version, and when did it change."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from model_server.version_dirs import fingerprint, parse_version, scan


def test_only_numeric_directories_are_versions(tmp_path: Path) -> None:
    for name in ("10", "9", "007", "7", "-1", "1.5", "latest", "٣", "9" * 20, "9" * 255):
        (tmp_path / name).mkdir()
    (tmp_path / "11").write_text("a file")
    assert [(found.version, found.path.name) for found in scan(tmp_path)] == [(7, "007"), (9, "9"), (10, "10")]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0", 0),
        ("007", 7),
        ("0" * 5000 + "7", 7),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("9" * 20, None),
        ("9" * 5000, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("1_0", None),
        ("\u0663", None),
    ],
)
def test_a_version_is_an_int64_in_decimal_digits(text: str, version: int | None) -> None:
    assert parse_version(text) == version


def test_an_absent_base_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "none")


def test_a_fingerprint_sees_files_grow_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    data = tmp_path / "variables" / "data"
    data.write_bytes(b"1")
    first = fingerprint(tmp_path)
    assert first == fingerprint(tmp_path)
    data.write_bytes(b"12")
    grown = fingerprint(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    whole = fingerprint(tmp_path)
    assert len({first.files, grown.files, whole.files}) == 3
    assert whole.has_model
    assert not grown.has_model


def test_a_copy_that_keeps_the_old_times_still_counts_as_new(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "saved_model.pb").write_bytes(b"1")
    long_ago = time.time() - 3600
    os.utime(source / "saved_model.pb", (long_ago, long_ago))
    started = time.time() - 1.0  # the file system's clock may lag by a tick
    shutil.copytree(source, tmp_path / "copy")
    assert fingerprint(tmp_path / "copy").changed_at >= started
