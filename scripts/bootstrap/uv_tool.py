"""Gets uv, which installs everything else: the one on PATH, or one of our own under .tools/.

The version and the checksums of our own stand in requirements/uv.txt. pip fetches the wheel where Python has pip, since
pip knows the user's proxies and passwords; a Python without pip (Debian packages it apart) fetches it with urllib.
Either way the checksum is verified here.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

from scripts.bootstrap import SetupError, pip_settings

OLDEST_USABLE = (0, 8)  # the first whose `uv venv` knows --clear
NETWORK_SECONDS = 60
PIP_SECONDS = 900


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
        raise SetupError("{} does not run on this machine ({} {})".format(target, platform.system(), _machine()))
    return str(target)


def _version(uv: str) -> Tuple[int, ...]:
    """Returns the version that `uv` reports, or an empty tuple where it does not run."""
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, timeout=NETWORK_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.match(r"uv (\d+)\.(\d+)", answer)
    return tuple(int(part) for part in found.groups()) if found else ()


def _install(target: Path, requirements: Path, pin: Pin, environ: Mapping[str, str]) -> None:
    tools = target.parent.parent
    tools.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="uv-", dir=str(tools)) as scratch:
        wheel, pip_says = _fetch_with_pip(Path(scratch), requirements)
        if wheel is None:
            wheel = _fetch_with_urllib(Path(scratch), pin, environ, pip_says)
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in pin.hashes:
            raise SetupError(
                "{} does not match the checksums in {}; nothing was installed".format(wheel.name, requirements)
            )
        with zipfile.ZipFile(str(wheel)) as archive:
            member = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
            unpacked = Path(scratch, "uv")
            unpacked.write_bytes(archive.read(member))
        unpacked.chmod(0o755)
        target.parent.mkdir(exist_ok=True)
        os.replace(str(unpacked), str(target))  # atomic: an interrupted set-up leaves no half of a uv


def _fetch_with_pip(folder: Path, requirements: Path) -> Tuple[Optional[Path], str]:
    """Returns the wheel, or None and what pip said."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]
    command += ["--disable-pip-version-check", "--dest", str(folder), "--requirement", str(requirements)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    wheel = next(folder.glob("uv-*.whl"), None)
    return wheel, (run.stderr.strip().splitlines() or ["pip fetched nothing"])[-1]


def _fetch_with_urllib(folder: Path, pin: Pin, environ: Mapping[str, str], pip_says: str) -> Path:
    """Fetches the wheel for this machine from the index that is configured for pip."""
    page = "{}/uv/".format(pip_settings.index_url(environ))
    context = ssl.create_default_context(cafile=pip_settings.setting("cert", environ))
    try:
        links = _Links(page)
        with urllib.request.urlopen(page, timeout=NETWORK_SECONDS, context=context) as response:
            links.feed(response.read().decode("utf-8"))
        url = choose_wheel(links.urls, pin.version)
        wheel = folder / _file_name(url)
        with urllib.request.urlopen(url, timeout=NETWORK_SECONDS, context=context) as response:
            wheel.write_bytes(response.read())
    except (OSError, ValueError, LookupError) as error:
        raise SetupError(
            "uv {} could not be fetched.\n  pip: {}\n  package index {}: {}\n"
            "Check the network and pip's settings (PIP_INDEX_URL, PIP_CERT, proxies), or install uv yourself "
            "and put it on PATH.".format(pin.version, pip_says, urllib.parse.urlsplit(page).hostname, error)
        ) from error
    return wheel


def choose_wheel(urls: List[str], version: str) -> str:
    """Returns the address among `urls` of the wheel of uv `version` that fits this machine.

    Raises:
        LookupError: there is none.
    """
    system = platform.system()
    if system == "Linux":
        libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    else:
        libc = {"Darwin": "macosx"}.get(system, system.lower())
    fitting = re.compile(r"uv-{}-py3-none-{}_.*{}\.whl".format(re.escape(version), libc, _machine()))
    for url in urls:
        if fitting.fullmatch(_file_name(url)):
            return url
    raise LookupError("no wheel of uv {} for {} on {}".format(version, libc, _machine()))


def _machine() -> str:
    return platform.machine().lower().replace("amd64", "x86_64")


def _file_name(url: str) -> str:
    return urllib.parse.unquote(urllib.parse.urlsplit(url).path.rsplit("/", 1)[-1])


class _Links(HTMLParser):
    """Collects the addresses on a page of a package index (PEP 503)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._page = page
        self.urls: List[str] = []

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.urls.append(urllib.parse.urljoin(self._page, href))
