"""What a chief ends with when it cannot go on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from custom_components.distributed_tuner.errors import ExitCode
from custom_components.distributed_tuner.process import main
from custom_components.distributed_tuner.storage.search_dir import SearchDir


@pytest.mark.parametrize(
    ("number", "code", "left"),
    [(errno.EMFILE, ExitCode.FAULT, False), (errno.ENOMEM, ExitCode.FAULT, False), (errno.EIO, ExitCode.FATAL, True)],
)
def test_a_chief_that_lacked_something_for_a_moment_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: ExitCode, left: bool
) -> None:
    def serve(*args: object) -> ExitCode:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(main, "_serve", serve)
    directory = SearchDir(tmp_path)
    directory.create()
    assert main.run_chief(directory.url, "token", go_on=False) is code
    assert (directory.read_error() is not None) == left, "the search is over for whoever finds it"
