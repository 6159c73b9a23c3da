"""The ways to a wheel, each on a machine where those before it are closed."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from scripts.bootstrap import SetupError, wheel_fetch
from tests.scripts.bootstrap.conftest import Checkout, Index


class Machine:
    """A machine's PATH and environment variables, as a test puts them together."""

    def __init__(self, tmp_path: Path, checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin = tmp_path / "bin"
        self.bin.mkdir()
        self.scratch = tmp_path / "scratch"
        self.scratch.mkdir()
        self.environ = {"PATH": str(self.bin), "HOME": checkout.environ["HOME"], "no_proxy": "127.0.0.1"}
        self._requirements = checkout.root / "requirements" / "uv.txt"
        # The tests' own machine has Pythons with pip where this one has none.
        monkeypatch.setattr(wheel_fetch, "SYSTEM_PYTHON", str(tmp_path / "system" / "python3"))

    def install(self, name: str, body: str) -> Path:
        """Puts a shell script on PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def fetch(self, python: str, **settings: str) -> Path:
        environ = {**self.environ, **settings}
        return wheel_fetch.fetch(self.scratch, "uv", "99.1.0", self._requirements, environ, python)


@pytest.fixture
def machine(tmp_path: Path, checkout: Checkout, index: Index, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One with nothing on PATH; the checkout pins the index's uv."""
    return Machine(tmp_path, checkout, monkeypatch)


def from_folder(index: Index) -> dict[str, str]:
    """Settings with which pip, and pip alone, gets at the index's wheels."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index.folder)}


def test_pip_of_the_running_python(machine: Machine, index: Index) -> None:
    assert machine.fetch(sys.executable, **from_folder(index)).name.startswith("uv-99.1.0-")


def test_pip_out_of_ensurepip_where_python_has_none(machine: Machine, index: Index, bare_python: str) -> None:
    assert machine.fetch(bare_python, **from_folder(index)).name.startswith("uv-99.1.0-")


def test_the_configured_index_where_python_has_neither(machine: Machine, index: Index, lean_python: str) -> None:
    assert machine.fetch(lean_python, PIP_INDEX_URL=index.url).name.startswith("uv-99.1.0-")


@pytest.mark.parametrize("name", ["python3", "python"])
def test_pip_of_another_python_on_path(machine: Machine, index: Index, lean_python: str, name: str) -> None:
    machine.install(name, f'exec {shlex.quote(sys.executable)} "$@"')
    assert machine.fetch(lean_python, **from_folder(index)).name.startswith("uv-99.1.0-")


def test_debians_package_where_no_python_has_pip(
    machine: Machine,
    index: Index,
    lean_python: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # An apt-get of the test's own: it notes what it is asked for and brings a Python with pip, as Debian's does.
    brought = machine.install("brought", f'exec {shlex.quote(sys.executable)} "$@"')
    said = machine.bin / "said"
    system = Path(wheel_fetch.SYSTEM_PYTHON)
    system.parent.mkdir()
    machine.install("apt-get", f'echo "$DEBIAN_FRONTEND $@" >> {said}; [ $1 = update ] || /bin/mv {brought} {system}')
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert machine.fetch(lean_python, **from_folder(index)).name.startswith("uv-99.1.0-")
    assert said.read_text().splitlines() == [
        "noninteractive update -qq",
        "noninteractive install -qq -y --no-install-recommends python3-pip",
    ]
    assert "installing Debian's python3-pip" in capsys.readouterr().err


def test_where_every_way_is_closed_it_says_what_was_tried_and_what_to_do(
    machine: Machine, lean_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = machine.install("python3", "echo 'pyenv: python3: command not found' >&2; exit 127")
    machine.install("apt-get", "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError) as closed:
        machine.fetch(lean_python, PIP_INDEX_URL="http://user:secret@127.0.0.1:1/simple")
    assert str(closed.value).splitlines() == [
        "uv 99.1.0 could not be fetched. Tried:",
        f"  {lean_python} -m pip: No module named pip",
        f"  {lean_python} -m venv: No module named venv",
        "  the package index that is configured for pip: 127.0.0.1:1: <urlopen error [Errno 111] Connection refused>",
        f"  {other} -m pip: pyenv: python3: command not found",
        "  apt-get install python3-pip: only root may",
        "Check the network, then run the same command again after one of these: apt-get install python3-pip, "
        "or set PIP_INDEX_URL, or put uv on PATH.",
    ]
    assert "secret" not in str(closed.value)


def test_a_machine_whose_pip_finds_nothing_is_not_changed(machine: Machine, tmp_path: Path) -> None:
    machine.install("apt-get", "echo no package may be installed here; exit 1")
    with pytest.raises(SetupError) as closed:
        machine.fetch(sys.executable, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert "No matching distribution found for uv==99.1.0" in str(closed.value)
    tried = str(closed.value).splitlines()[1:-1]
    assert not any("apt-get" in line or "venv" in line.partition(" -m ")[2] for line in tried)
