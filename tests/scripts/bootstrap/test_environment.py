"""The environment: what it is built from, when it is built again, and what an interrupted or failed build leaves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.bootstrap import SetupError, interpreter
from scripts.bootstrap.environment import STAMP, Environment
from scripts.bootstrap.interpreter import Interpreter
from tests.scripts.bootstrap.conftest import PYTHON, Checkout


@pytest.fixture
def python() -> Interpreter:
    """The interpreter that the tests run on."""
    found = interpreter.probe(PYTHON)
    assert isinstance(found, Interpreter)
    return found


@pytest.fixture
def built(checkout: Checkout, uv: str, python: Interpreter) -> Environment:
    """An environment just built from the small checkout."""
    environment = Environment(checkout.root, checkout.environ)
    environment.build(uv, python)
    return environment


def installed_version(environment: Environment) -> str:
    command = [str(environment.python), "-c", "import tiny; print(tiny.VERSION)"]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout.strip()


def test_it_holds_the_lock_compiled_and_the_checkout_from_any_folder(built: Environment) -> None:
    assert built.is_current()
    assert installed_version(built) == "1.0"
    assert list(built.folder.glob("lib/*/site-packages/__pycache__/tiny.*.pyc"))
    subprocess.run([str(built.python), "-c", "import scripts.bootstrap"], cwd="/", check=True)


def test_a_changed_lock_brings_it_up_to_date_and_keeps_the_rest(
    built: Environment, checkout: Checkout, uv: str, python: Interpreter
) -> None:
    sentinel = built.folder / "sentinel"
    sentinel.touch()
    checkout.lock("2.0.0")  # another length: Python tells stale bytecode by time and size
    assert not built.is_current()
    built.build(uv, python)
    assert built.is_current()
    assert installed_version(built) == "2.0.0"
    assert sentinel.exists()


def test_nothing_happens_where_nothing_changed(built: Environment, python: Interpreter) -> None:
    built.build("/no/uv/is/run", python)
    assert built.is_current()


@pytest.mark.parametrize("content", [None, "", "{}", '{"lock": 1, "extra": 2}'])
def test_without_a_whole_stamp_it_is_built_anew(
    built: Environment, uv: str, python: Interpreter, content: str | None
) -> None:
    sentinel = built.folder / "sentinel"
    sentinel.touch()
    stamp = built.folder / STAMP
    stamp.unlink() if content is None else stamp.write_text(content)
    assert not built.is_current()
    built.build(uv, python)
    assert built.is_current()
    assert not sentinel.exists()


def test_a_vanished_interpreter_or_a_moved_checkout_makes_it_stale(built: Environment, checkout: Checkout) -> None:
    moved = checkout.root.rename(checkout.root.with_name("moved"))
    assert not Environment(moved, checkout.environ).is_current()
    python = moved / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/such/python3.10")
    assert Environment(moved, checkout.environ).stamped() is None


def test_another_python_asked_for_makes_it_stale(built: Environment, checkout: Checkout, tmp_path: Path) -> None:
    other = tmp_path / "python3.10"
    other.write_text("#!/bin/sh\n")
    environ = {**checkout.environ, "PYTHON": str(other)}
    assert not Environment(checkout.root, environ).is_current()
    without = {name: value for name, value in checkout.environ.items() if name != "PYTHON"}
    assert Environment(checkout.root, without).is_current()


def test_a_wheel_other_than_the_locked_one_is_refused(checkout: Checkout, uv: str, python: Interpreter) -> None:
    lock = checkout.root / "requirements" / "lock.txt"
    lock.write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    environment = Environment(checkout.root, checkout.environ)
    with pytest.raises(SetupError, match=r"(?s)could not install the locked packages \(pip sync\).*[Hh]ash mismatch"):
        environment.build(uv, python)
    assert environment.stamped() is None


def test_a_full_disk_is_told_before_anything_is_downloaded(
    checkout: Checkout, uv: str, python: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.bootstrap.environment.BYTES_NEEDED", 10**18)
    with pytest.raises(SetupError, match=r"GB free and the environment needs 1000000000\.0 GB"):
        Environment(checkout.root, checkout.environ).build(uv, python)
    assert not (checkout.root / ".venv").exists()


def test_a_change_of_any_part_changes_the_fingerprint(built: Environment, python: Interpreter) -> None:
    now = built.fingerprint(python)
    assert built.fingerprint(python._replace(version="3.10.99")) != now
    assert built.fingerprint(python._replace(path="/elsewhere/python3.10")) != now
