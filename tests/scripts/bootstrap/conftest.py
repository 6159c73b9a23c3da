"""A checkout in small: the set-up's own files, and a lock of one tiny wheel that is installed without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.bootstrap import uv_tool

ROOT = Path(__file__).resolve().parents[3]
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
