"""A disk that is full ends the search where the search is on it, and fails the trial where nothing else is."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.host import full_disk
from custom_components.distributed_tuner.record.record import TrialStatus

# A file system that no search is on.
OTHER = "/proc/full"
WORDS = os.strerror(errno.ENOSPC)


def said(*errors: str) -> str:
    """What a trial's message has of them."""
    return "\n".join(["Traceback (most recent call last):", '  File "user.py", line 1, in f', *errors, ""])


def error(number: int, *files: str) -> str:
    """What Python says of it last."""
    made = OSError(number, os.strerror(number), *(files[:1] or ()), *((None, files[1]) if files[1:] else ()))
    return f"OSError: {made}"


@pytest.mark.timeout(180)
def test_a_trial_for_which_another_disk_is_full_fails_alone(make_search: Callable[..., Any]) -> None:
    found = make_search("full", {"path": OTHER}).run(workers=1)
    assert [trial.cause for trial in found.record.failed()] == [error(errno.ENOSPC, OTHER)]
    assert (found.error, found.record.count(TrialStatus.COMPLETED)) == (None, 3)


@pytest.mark.timeout(180)
def test_a_trial_for_which_the_disk_of_the_search_is_full_ends_it_with_the_files_name(
    make_search: Callable[..., Any], tmp_path: Path
) -> None:
    path = str(tmp_path / "there's room" / "file")
    words = rf"cannot store the search in(.|\n)*trial 1 could not write {re.escape(path)}: the disk is full"
    with pytest.raises(SearchError, match=words):
        make_search("full", {"path": path}).run(workers=1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_file_on_another_disk_is_told_from_one_of_the_search(tmp_path: Path, number: int) -> None:
    places = (str(tmp_path), f"{tmp_path}/not/yet")
    own = str(tmp_path / "not" / "there")
    assert full_disk.reason(said(error(number, OTHER)), places) is None
    assert full_disk.reason(said(error(number, own)), places) == f"could not write {own}: the disk is full"
    # A copy is written to the second one.
    assert full_disk.reason(said(error(number, own, OTHER)), places) is None
    assert full_disk.reason(said(error(number, OTHER, own)), places) == f"could not write {own}: the disk is full"
    # Both were full, one of them in the search.
    assert full_disk.reason(said(error(number, own), error(number, OTHER)), places) is not None


def test_tensorflows_words_name_the_file_too(tmp_path: Path) -> None:
    own, op = tmp_path / "a folder" / "file", "{{function_node __wrapped__SaveV2_device_/CPU:0}}"
    for words in (f"ResourceExhaustedError: {own}; {WORDS}", f"UnknownError: {op} {own}; {WORDS} [Op:SaveV2]"):
        assert full_disk.reason(said(words), (str(tmp_path),)) == f"could not write {own}: the disk is full"
        assert full_disk.reason(said(words.replace(str(own), OTHER)), (str(tmp_path),)) is None


@pytest.mark.parametrize(
    "words",
    [
        f"OSError: [Errno 28] {WORDS}",
        f"OSError: [Errno 28] {WORDS}: 'a relative path'",
        f"OSError: [Errno 28] Can't write data (errno = 28, error message = '{WORDS}', buf = 0x1)",
    ],
)
def test_without_the_name_of_a_file_it_counts_as_the_searchs(tmp_path: Path, words: str) -> None:
    assert full_disk.reason(said(words), (str(tmp_path),)) is not None
    assert full_disk.reason(said(words, error(errno.ENOSPC, OTHER)), (str(tmp_path),)) is not None


def test_a_disk_without_room_may_be_the_full_one_by_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert full_disk.reason(said(error(errno.ENOSPC, OTHER)), (str(tmp_path),)) is None
    monkeypatch.setattr(full_disk, "_ROOM_BYTES", 1 << 62)
    assert full_disk.reason(said(error(errno.ENOSPC, OTHER)), (str(tmp_path),)) is not None


def test_what_is_for_a_bucket_may_pass_through_any_disk(tmp_path: Path) -> None:
    assert full_disk.reason(said(error(errno.ENOSPC, OTHER)), ("gs://bucket/search", str(tmp_path))) is not None


def test_other_errors_are_none_of_its_business(tmp_path: Path) -> None:
    assert full_disk.reason(said(error(errno.ENOENT, str(tmp_path))), (str(tmp_path),)) is None
    assert full_disk.reason("", (str(tmp_path),)) is None
