"""A checkout in small: the set-up's own files, and a lock of one tiny wheel that is installed without a network."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import platform
import shutil
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.bootstrap import uv_tool
from tests.repository import ROOT

PYTHON = os.path.realpath(sys.executable)


@dataclass(frozen=True)
class Checkout:
    """A small checkout, the folder of wheels that its lock is met from, and the environment variables for both."""

    root: Path
    wheels: Path
    environ: dict[str, str]

    def lock(self, *versions: str) -> None:
        """Locks the wheel `tiny` at each of the given versions; each is written as well."""
        lines = []
        for version in versions:
            wheel = write_wheel(self.wheels, "tiny", version, {"tiny.py": f'"""Tiny."""\nVERSION = "{version}"\n'})
            lines.append(f"tiny=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
        (self.root / "requirements" / "lock.txt").write_text("".join(lines))


def write_wheel(folder: Path, name: str, version: str, files: dict[str, str], tag: str = "py3-none-any") -> Path:
    """Writes an installable wheel that holds `files`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    contents[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*contents, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in contents.items():
            archive.writestr(file, text)
    return path


@pytest.fixture(scope="session")
def uv() -> str:
    """The uv that the project uses."""
    return uv_tool.locate(ROOT, os.environ)


@pytest.fixture
def checkout(tmp_path: Path, uv: str) -> Checkout:
    """A small checkout whose lock is the wheel `tiny` 1.0."""
    root = tmp_path / "checkout"
    (root / "requirements").mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements" / "uv.txt", root / "requirements")
    wheels = tmp_path / "wheels"
    environ = {
        "PATH": f"{Path(uv).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "PYTHON": PYTHON,
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(wheels),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    made = Checkout(root, wheels, environ)
    made.lock("1.0")
    return made


class Index:
    """A package index on the loopback, and the folder that it serves."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "simple" / "uv"
        self._login: str | None = None
        index = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(root))

            def do_GET(self) -> None:
                if index._login is not None and self.headers["Authorization"] != index._login:
                    self.send_error(401)
                else:
                    super().do_GET()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/simple"

    def require(self, user: str, password: str) -> None:
        """From now on only this user is answered."""
        self._login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def index(tmp_path: Path, checkout: Checkout) -> Iterator[Index]:
    """An index that holds two stand-ins for uv, of which the checkout pins the older."""
    served = Index(tmp_path / "index")
    machine = platform.machine()
    tag = f"py3-none-manylinux_2_17_{machine}.manylinux2014_{machine}"
    for version in ("99.1.0", "99.2.0"):
        script = f'#!/bin/sh\necho "uv {version} (stand-in)"\n'
        write_wheel(served.folder, "uv", version, {f"uv-{version}.data/scripts/uv": script}, tag)
    pinned = served.folder / f"uv-99.1.0-{tag}.whl"
    pin_uv(checkout, hashlib.sha256(pinned.read_bytes()).hexdigest())
    thread = threading.Thread(target=served.server.serve_forever)
    thread.start()
    yield served
    served.server.shutdown()
    served.server.server_close()
    thread.join(timeout=10)


def pin_uv(checkout: Checkout, digest: str) -> None:
    """Makes the checkout ask for the index's older stand-in, with this checksum."""
    (checkout.root / "requirements" / "uv.txt").write_text(f"uv==99.1.0 \\\n    --hash=sha256:{digest}\n")


@pytest.fixture
def bare_python(tmp_path: Path) -> str:
    """A Python without pip, as a Debian without python3-pip has it."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    return str(tmp_path / "bare" / "bin" / "python3")


@pytest.fixture
def lean_python(bare_python: str) -> str:
    """A Python without pip that cannot make environments either, as a Debian without python3-venv has it."""
    packages = next(Path(bare_python).parents[1].glob("lib/python3*/site-packages"))
    (packages / "sitecustomize.py").write_text("import sys\nsys.modules['venv'] = None\n")
    return bare_python
