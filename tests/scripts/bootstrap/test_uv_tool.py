"""Getting uv where there is none, or one that is too old, and never another one than the pinned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bootstrap import SetupError, uv_tool
from tests.repository import ROOT
from tests.scripts.bootstrap.conftest import Checkout, Index, pin_uv

NO_UV = "/usr/bin:/bin"


def ask_version(python: str, checkout: Checkout, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "scripts.bootstrap", "uv", "--version"]
    environ = {"PATH": NO_UV, "HOME": checkout.environ["HOME"], "no_proxy": "127.0.0.1", **variables}
    return subprocess.run(command, cwd=checkout.root, env=environ, capture_output=True, text=True, timeout=100)


def test_the_pinned_one_is_fetched_once(index: Index, checkout: Checkout) -> None:
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index.folder)}
    run = ask_version(sys.executable, checkout, **settings)
    assert run.stdout == "uv 99.1.0 (stand-in)\n", run.stderr
    for wheel in index.folder.iterdir():
        wheel.unlink()
    assert ask_version(sys.executable, checkout, **settings).stdout == "uv 99.1.0 (stand-in)\n"
    assert sorted(path.name for path in (checkout.root / ".tools").iterdir()) == ["uv-99.1.0"]


def test_what_does_not_match_the_pin_is_not_installed(index: Index, checkout: Checkout, lean_python: str) -> None:
    pin_uv(checkout, "0" * 64)
    run = ask_version(lean_python, checkout, PIP_INDEX_URL=index.url)
    assert run.returncode == 1
    assert "does not match the checksums" in run.stderr
    assert list((checkout.root / ".tools").iterdir()) == []


def test_the_one_on_path_is_used_unless_it_is_too_old(tmp_path: Path, checkout: Checkout, index: Index) -> None:
    own = tmp_path / "bin" / "uv"
    own.parent.mkdir()
    settings = {"PATH": f"{own.parent}{os.pathsep}{NO_UV}", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index.folder)}
    for version, expected in (("0.9.1", str(own)), ("0.4.30", str(checkout.root / ".tools" / "uv-99.1.0" / "uv"))):
        own.write_text(f"#!/bin/sh\necho uv {version}\n")
        own.chmod(0o755)
        assert uv_tool.locate(checkout.root, settings) == expected


def test_the_projects_own_pin_is_whole() -> None:
    found = uv_tool.read_pin(ROOT / "requirements" / "uv.txt")
    assert len(found.hashes) > 10


def test_a_pin_without_checksums_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "uv.txt"
    path.write_text("uv==1.0\n")
    with pytest.raises(SetupError, match="must pin uv"):
        uv_tool.read_pin(path)
