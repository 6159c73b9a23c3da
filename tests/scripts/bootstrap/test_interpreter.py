"""The search for a Python 3.10 that runs, among interpreters that lie about it."""

from __future__ import annotations

import os
import shlex
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.bootstrap import interpreter
from scripts.bootstrap.interpreter import Interpreter, Rejection

REAL = os.path.realpath(sys.executable)
PYENV_SHIM = 'echo "pyenv: python3.10: command not found" >&2; echo "It exists in: 3.10.13" >&2; exit 127'
FIT = f'exec {shlex.quote(REAL)} "$@"'

Script = Callable[[str, str], Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Writes an executable shell script at a path relative to the test's folder."""

    def write(name: str, body: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


def environment(tmp_path: Path, *folders: str, **variables: str) -> dict[str, str]:
    path = os.pathsep.join(str(tmp_path / folder) for folder in folders)
    return {"PATH": path, "HOME": str(tmp_path / "home"), **variables}


def test_a_shim_that_fails_is_passed_over_for_the_next_on_path(tmp_path: Path, script: Script) -> None:
    shim = script("shims/python3.10", PYENV_SHIM)
    script("bin/python3.10", FIT)
    found, rejected = interpreter.find(environment(tmp_path, "shims", "bin"))
    assert found == Interpreter(REAL, ".".join(map(str, sys.version_info[:3])))
    assert rejected == [Rejection(str(shim), "pyenv: python3.10: command not found")]


def test_pythons_wish_comes_first_and_may_be_a_name(tmp_path: Path, script: Script) -> None:
    wished = script("elsewhere/my-python", FIT)
    on_path = script("bin/python3.10", FIT)
    by_path = interpreter.candidates(environment(tmp_path, "bin", PYTHON=str(wished)))
    assert list(by_path) == [str(wished), str(on_path)]
    by_name = interpreter.candidates(environment(tmp_path, "bin", "elsewhere", PYTHON="my-python"))
    assert next(by_name) == str(wished)


def test_pyenvs_versions_are_tried_newest_first_and_only_the_wanted(tmp_path: Path, script: Script) -> None:
    for version in ("3.10.2", "3.10.13", "3.11.7", "3.10-dev", "3.1.0"):
        script(f"home/.pyenv/versions/{version}/bin/python3.10", FIT)
    found = [Path(path).parts[-3] for path in interpreter.candidates(environment(tmp_path))]
    assert found == ["3.10.13", "3.10.2"]


def test_pyenv_root_moves_the_search(tmp_path: Path, script: Script) -> None:
    path = script("opt/versions/3.10.9/bin/python3.10", FIT)
    assert list(interpreter.candidates(environment(tmp_path, PYENV_ROOT=str(tmp_path / "opt")))) == [str(path)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('echo \'{"path": "/x", "version": [3, 11, 2], "name": "CPython"}\'', "is Python 3.11.2, not 3.10"),
        ('echo \'{"path": "/x", "version": [3, 10, 2], "name": "PyPy"}\'', "is PyPy, not CPython"),
        ("echo hello", "does not behave like a Python: it printed 'hello\\n'"),
        ("exit 3", "exit status 3"),
        (
            "printf 'Traceback (most recent call last):\\n  File x\\nModuleNotFoundError: no _ctypes\\n' >&2; exit 1",
            "ModuleNotFoundError: no _ctypes",
        ),
    ],
)
def test_what_cannot_run_the_project_is_refused_with_its_reason(script: Script, body: str, reason: str) -> None:
    path = script("python3.10", body)
    assert interpreter.probe(str(path)) == Rejection(str(path), reason)


def test_an_absent_interpreter_is_refused(tmp_path: Path) -> None:
    absent = str(tmp_path / "python3.10")
    assert interpreter.probe(absent) == Rejection(absent, "No such file or directory")


def test_one_that_never_answers_is_given_up(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "PROBE_SECONDS", 0.2)
    path = script("python3.10", "exec sleep 60")
    assert interpreter.probe(str(path)) == Rejection(str(path), "gave no answer in 0.2 s")


def test_a_virtual_environment_stands_for_the_interpreter_beneath_it(tmp_path: Path) -> None:
    venv.create(tmp_path / "linked", symlinks=True)
    venv.create(tmp_path / "copied", symlinks=False)
    for kind in ("linked", "copied"):
        result = interpreter.probe(str(tmp_path / kind / "bin" / "python"))
        assert isinstance(result, Interpreter)
        assert os.path.realpath(result.path) == REAL


def test_nothing_found_is_none(tmp_path: Path) -> None:
    assert interpreter.find(environment(tmp_path, "bin")) == (None, [])
