"""Getting uv where there is none: with pip, without pip, and never one that is not the pinned one."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import platform
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.bootstrap import SetupError, uv_tool
from tests.scripts.bootstrap.conftest import Checkout, write_wheel

TAG = f"py3-none-manylinux_2_17_{platform.machine()}.manylinux2014_{platform.machine()}"
NO_UV = "/usr/bin:/bin"


@pytest.fixture
def index(tmp_path: Path, checkout: Checkout) -> Iterator[tuple[Path, str]]:
    """A package index on the loopback that holds a stand-in for uv, pinned by the checkout: its folder and address."""
    folder = tmp_path / "index" / "simple" / "uv"
    script = '#!/bin/sh\necho "uv 99.1.0 (stand-in)"\n'
    wheel = write_wheel(folder, "uv", "99.1.0", {"uv-99.1.0.data/scripts/uv": script}, TAG)
    write_wheel(folder, "uv", "99.2.0", {"uv-99.2.0.data/scripts/uv": script}, TAG)
    pin(checkout, hashlib.sha256(wheel.read_bytes()).hexdigest())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()
        thread.join(timeout=10)


@pytest.fixture
def bare_python(tmp_path: Path) -> str:
    """A Python without pip, as a Debian without python3-pip has it."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    return str(tmp_path / "bare" / "bin" / "python3")


def pin(checkout: Checkout, digest: str) -> None:
    (checkout.root / "requirements" / "uv.txt").write_text(f"uv==99.1.0 \\\n    --hash=sha256:{digest}\n")


def ask_version(python: str, checkout: Checkout, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "scripts.bootstrap", "uv", "--version"]
    environ = {"PATH": NO_UV, "HOME": checkout.environ["HOME"], "no_proxy": "127.0.0.1", **variables}
    return subprocess.run(command, cwd=checkout.root, env=environ, capture_output=True, text=True, timeout=100)


def test_a_python_without_pip_fetches_the_pinned_one_once(
    index: tuple[Path, str], checkout: Checkout, bare_python: str
) -> None:
    folder, url = index
    run = ask_version(bare_python, checkout, PIP_INDEX_URL=url)
    assert run.stdout == "uv 99.1.0 (stand-in)\n", run.stderr
    for wheel in folder.iterdir():
        wheel.unlink()
    assert ask_version(bare_python, checkout, PIP_INDEX_URL=url).stdout == "uv 99.1.0 (stand-in)\n"
    assert sorted(path.name for path in (checkout.root / ".tools").iterdir()) == ["uv-99.1.0"]


def test_a_python_with_pip_lets_pip_fetch_it(index: tuple[Path, str], checkout: Checkout) -> None:
    folder, _ = index
    run = ask_version(sys.executable, checkout, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder))
    assert run.stdout == "uv 99.1.0 (stand-in)\n", run.stderr


def test_what_does_not_match_the_pin_is_not_installed(
    index: tuple[Path, str], checkout: Checkout, bare_python: str
) -> None:
    pin(checkout, "0" * 64)
    run = ask_version(bare_python, checkout, PIP_INDEX_URL=index[1])
    assert run.returncode == 1
    assert "does not match the checksums" in run.stderr
    assert list((checkout.root / ".tools").iterdir()) == []


def test_an_unreachable_index_says_what_was_tried_and_what_to_do(checkout: Checkout, bare_python: str) -> None:
    pin(checkout, "0" * 64)
    run = ask_version(bare_python, checkout, PIP_INDEX_URL="http://user:secret@127.0.0.1:1/simple")
    assert run.returncode == 1
    assert "pip: " in run.stderr and "No module named pip" in run.stderr
    assert "package index 127.0.0.1:" in run.stderr and "install uv yourself" in run.stderr
    assert "secret" not in run.stderr and "Traceback" not in run.stderr


def test_the_one_on_path_is_used_unless_it_is_too_old(
    tmp_path: Path, checkout: Checkout, index: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "bin" / "uv"
    own.parent.mkdir()
    for version, expected in (("0.9.1", str(own)), ("0.4.30", str(checkout.root / ".tools" / "uv-99.1.0" / "uv"))):
        own.write_text(f"#!/bin/sh\necho uv {version}\n")
        own.chmod(0o755)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(index[0]))
        assert uv_tool.locate(checkout.root, {"PATH": f"{own.parent}{os.pathsep}{NO_UV}"}) == expected


def test_the_wheel_is_chosen_by_version_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "uv-1.2.3.tar.gz",
        "uv-1.2.3-py3-none-win_amd64.whl",
        "uv-1.2.3-py3-none-musllinux_1_1_x86_64.whl",
        "uv-1.2.30-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "uv-1.2.3-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
        "uv-1.2.3-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "uv-1.2.3-py3-none-macosx_11_0_arm64.whl",
    ]
    urls = [f"http://index.test/files/{name}#sha256=0" for name in names]
    for system, machine, libc, place in (
        ("Linux", "x86_64", "glibc", 5),
        ("Linux", "aarch64", "glibc", 4),
        ("Linux", "x86_64", "", 2),
        ("Darwin", "arm64", "", 6),
    ):
        monkeypatch.setattr(platform, "system", lambda system=system: system)
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        monkeypatch.setattr(platform, "libc_ver", lambda libc=libc: (libc, "2.36"))
        assert uv_tool.choose_wheel(urls, "1.2.3") == urls[place]
    with pytest.raises(LookupError, match=r"no wheel of uv 4\.5\.6"):
        uv_tool.choose_wheel(urls, "4.5.6")


def test_the_projects_own_pin_is_whole() -> None:
    root = Path(__file__).resolve().parents[3]
    found = uv_tool.read_pin(root / "requirements" / "uv.txt")
    assert len(found.hashes) > 10


def test_a_pin_without_checksums_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "uv.txt"
    path.write_text("uv==1.0\n")
    with pytest.raises(SetupError, match="must pin uv"):
        uv_tool.read_pin(path)
