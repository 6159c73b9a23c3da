"""Gets uv, which installs everything else: the one on PATH, or one of our own under .tools/.

The version and the checksums of our own stand in requirements/uv.txt. However the wheel comes here (`wheel_fetch`), its
checksum is verified before anything of it is unpacked.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import FrozenSet, Mapping, NamedTuple, Tuple

from scripts.bootstrap import SetupError, wheel_fetch

OLDEST_USABLE = (0, 8)  # the first whose `uv venv` knows --clear
ANSWER_SECONDS = 60


class Pin(NamedTuple):
    """The version of uv that the project installs, and the SHA-256 of each of its published files."""

    version: str
    hashes: FrozenSet[str]


def read_pin(requirements: Path) -> Pin:
    """Reads the pin out of a one-package requirements file with hashes."""
    text = requirements.read_text(encoding="utf-8")
    version = re.search(r"^uv==([\w.]+)", text, re.MULTILINE)
    hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    if version is None or not hashes:
        raise SetupError("{} must pin uv (uv==VERSION with --hash lines); restore the file".format(requirements))
    return Pin(version.group(1), hashes)


def locate(root: Path, environ: Mapping[str, str]) -> str:
    """Returns the path of a uv that runs, installed under `root`/.tools where none is on PATH.

    Raises:
        SetupError: uv is absent and could not be fetched, or what was fetched is not what the pin says.
    """
    on_path = shutil.which("uv", path=environ.get("PATH", os.defpath))
    if on_path and _version(on_path) >= OLDEST_USABLE:
        return on_path
    requirements = root / "requirements" / "uv.txt"
    pin = read_pin(requirements)
    target = root / ".tools" / "uv-{}".format(pin.version) / "uv"
    if not target.exists():
        _install(target, requirements, pin, environ)
    if _version(str(target)) < OLDEST_USABLE:
        raise SetupError(
            "{} does not run on this machine ({} {}); put another uv on PATH".format(
                target, platform.system(), platform.machine()
            )
        )
    return str(target)


def _version(uv: str) -> Tuple[int, ...]:
    """Returns the version that `uv` reports, or an empty tuple where it does not run."""
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, timeout=ANSWER_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.match(r"uv (\d+)\.(\d+)", answer)
    return tuple(int(part) for part in found.groups()) if found else ()


def _install(target: Path, requirements: Path, pin: Pin, environ: Mapping[str, str]) -> None:
    tools = target.parent.parent
    tools.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="uv-", dir=str(tools)) as scratch:
        wheel = wheel_fetch.fetch(Path(scratch), "uv", pin.version, requirements, environ)
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in pin.hashes:
            raise SetupError(
                "{} does not match the checksums in {}; nothing was installed".format(wheel.name, requirements)
            )
        with zipfile.ZipFile(str(wheel)) as archive:
            member = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
            unpacked = Path(scratch, "uv")
            unpacked.write_bytes(archive.read(member))
        mode = unpacked.stat().st_mode
        unpacked.chmod(mode | (mode & 0o444) >> 2)  # Whoever may read it may run it.
        target.parent.mkdir(exist_ok=True)
        os.replace(str(unpacked), str(target))  # atomic: an interrupted set-up leaves no half of a uv
