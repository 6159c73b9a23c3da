"""The set-up as a user runs it: from nothing, twice at once, and on a machine without Python 3.10."""

from __future__ import annotations

import ast
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bootstrap import SetupError, __main__
from tests.repository import ROOT
from tests.scripts.bootstrap.conftest import Checkout


def setup(checkout: Checkout, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout.root / "scripts" / "setup.sh")]
    environ = {**checkout.environ, **variables}
    return subprocess.run(command, cwd="/", env=environ, capture_output=True, text=True, timeout=100)


def test_it_sets_up_once_and_is_silent_after(checkout: Checkout) -> None:
    first = setup(checkout)
    assert first.returncode == 0, first.stderr
    assert "setting up .venv" in first.stderr and "ready in" in first.stderr
    again = setup(checkout)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_second_one_waits_for_the_first(checkout: Checkout) -> None:
    lock = checkout.root / ".tools" / "setup.lock"
    lock.parent.mkdir()
    command = [sys.executable, "-m", "scripts.bootstrap"]
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = subprocess.Popen(
            command, cwd=checkout.root, env=checkout.environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        assert "waiting for another set-up" in second.stderr.readline()
        assert not (checkout.root / ".venv").exists()
    _, said = second.communicate(timeout=100)
    assert second.returncode == 0, said


def test_a_wish_that_cannot_be_met_is_told_and_the_search_goes_on(checkout: Checkout) -> None:
    folder = checkout.root.parent / "bin"
    folder.mkdir()
    (folder / "python3.10").symlink_to(checkout.environ["PYTHON"])
    run = setup(checkout, PYTHON="/no/such/python", PATH=f"{folder}:{checkout.environ['PATH']}")
    assert run.returncode == 0, run.stderr
    assert "PYTHON=/no/such/python will not do: No such file or directory" in run.stderr


def test_without_any_python_310_it_says_what_was_tried_and_what_to_do(tmp_path: Path) -> None:
    # uv's download cannot be made to fail here without a network of its own, so a uv that fails stands in.
    shim = tmp_path / "bin" / "python3.10"
    uv = tmp_path / "uv"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.10: command not found' >&2; exit 127\n")
    uv.write_text("#!/bin/sh\necho 'error: no route to host' >&2; exit 1\n")
    for file in (shim, uv):
        file.chmod(0o755)
    with pytest.raises(SetupError) as caught:
        __main__.find_python(str(uv), {"PATH": str(shim.parent), "HOME": str(tmp_path)})
    message = str(caught.value)
    assert "needs Python 3.10, and uv could not fetch one (error: no route to host)" in message
    assert f"{shim}: pyenv: python3.10: command not found" in message
    assert "make setup PYTHON=" in message


def test_one_that_uv_brings_is_used(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\n[ "$2" = install ] || echo {os.path.realpath(sys.executable)}\n')
    uv.chmod(0o755)
    found = __main__.find_python(str(uv), {"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert found.path == os.path.realpath(sys.executable)


def test_it_keeps_to_the_language_of_python_37() -> None:
    for path in (ROOT / "scripts" / "bootstrap").glob("*.py"):
        ast.parse(path.read_text(), filename=str(path), feature_version=(3, 7))
