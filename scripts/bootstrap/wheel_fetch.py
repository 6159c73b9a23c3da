"""Fetches one pinned wheel with whatever this machine has.

pip is asked first, since it knows the user's index, proxies, certificates and passwords; a Python often lacks it
(Debian packages it apart), and then these ways are tried in turn:

1. pip of the Python that runs this
2. pip out of `ensurepip`, in a scratch environment that is thrown away
3. the package index that is configured for pip, read directly
4. pip of any other Python of this machine
5. on Debian, as root, and only where no Python had a pip: the package python3-pip
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Callable, Iterator, List, Mapping, Tuple

from scripts.bootstrap import SetupError, package_index, pip_settings, say

PROBE_SECONDS = 60
DOWNLOAD_SECONDS = 900
SYSTEM_PYTHON = "/usr/bin/python3"
PIP_PACKAGE = "python3-pip"

Way = Tuple[str, Callable[[], Path]]


class Closed(Exception):
    """One of the ways led nowhere; the message says why."""


def fetch(
    folder: Path,
    package: str,
    version: str,
    requirements: Path,
    environ: Mapping[str, str],
    python: str = sys.executable,
) -> Path:
    """Brings the wheel of `package` for this machine into `folder`. Its checksum is for the caller to verify.

    Args:
        folder: an empty folder, also used for scratch.
        package: the package's name.
        version: its version.
        requirements: a requirements file that pins just that, with hashes.
        environ: the environment variables, for pip and for its settings.
        python: the Python that is tried first.

    Returns:
        The wheel's path.

    Raises:
        SetupError: no way led to it; the message lists them all and says what to do.
    """
    tried: List[str] = []
    for name, way in _Ways(folder, package, version, requirements, environ, python):
        try:
            return way()
        except Closed as reason:
            tried.append("\n  {}: {}".format(name, reason))
    raise SetupError(
        "{} {} could not be fetched. Tried:{}\nCheck the network, then run the same command again after one of these: "
        "apt-get install {}, or set PIP_INDEX_URL, or put {} on PATH.".format(
            package, version, "".join(tried), PIP_PACKAGE, package
        )
    )


class _Ways:
    """The ways in their order; what was learned on one decides whether another is taken."""

    def __init__(
        self, folder: Path, package: str, version: str, requirements: Path, environ: Mapping[str, str], python: str
    ) -> None:
        self._folder = folder
        self._package = package
        self._version = version
        self._requirements = requirements
        self._environ = environ
        self._python = python
        self._pip_ran = False

    def __iter__(self) -> Iterator[Way]:
        python = self._python
        yield "{} -m pip".format(python), lambda: self._pip(python)
        if not self._pip_ran:
            yield "{} -m venv".format(python), lambda: self._pip(self._scratch_python())
        yield "the package index that is configured for pip", self._index
        for other in other_pythons(python, self._environ):
            yield "{} -m pip".format(other), partial(self._pip, other)
        apt_get = shutil.which("apt-get", path=self._environ.get("PATH", os.defpath))
        if apt_get and not self._pip_ran:
            yield "apt-get install {}".format(PIP_PACKAGE), lambda: self._pip(self._debians_python(apt_get))

    def _pip(self, python: str) -> Path:
        """Lets a Python's pip download the wheel."""
        self._run([python, "-m", "pip", "--version"], PROBE_SECONDS)
        self._pip_ran = True
        command = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--require-hashes", "--dest", str(self._folder)]
        self._run([*command, "--requirement", str(self._requirements)], DOWNLOAD_SECONDS)
        wheel = next(self._folder.glob("{}-*.whl".format(self._package)), None)
        if wheel is None:
            raise Closed("it fetched nothing")
        return wheel

    def _scratch_python(self) -> str:
        """A new environment's Python, into which `venv` puts the pip that Python itself carries."""
        scratch = self._folder / "scratch"
        self._run([self._python, "-m", "venv", str(scratch)], DOWNLOAD_SECONDS)
        return str(scratch / "bin" / "python")

    def _index(self) -> Path:
        index = pip_settings.setting("index-url", self._environ)
        if index is None:
            raise Closed("there is none")
        certificate = pip_settings.setting("cert", self._environ)
        try:
            return package_index.download(index, self._package, self._version, self._folder, certificate)
        except package_index.IndexUnreadable as error:
            raise Closed(str(error)) from error

    def _debians_python(self, apt_get: str) -> str:
        if os.geteuid() != 0:
            raise Closed("only root may")
        say("no Python of this machine has pip; installing Debian's {}".format(PIP_PACKAGE))
        self._run([apt_get, "update", "-qq"], DOWNLOAD_SECONDS)
        self._run([apt_get, "install", "-qq", "-y", "--no-install-recommends", PIP_PACKAGE], DOWNLOAD_SECONDS)
        return SYSTEM_PYTHON

    def _run(self, command: List[str], seconds: int) -> None:
        """Raises Closed with the command's last words where it fails."""
        environ = {**self._environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            run = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=seconds)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Closed(str(error)) from error
        if run.returncode != 0:
            words = (run.stderr.strip() or run.stdout.strip()).splitlines() or ["exit status {}".format(run.returncode)]
            name = command[0] + ": "  # Python puts its own path before what it says, and the list has it already
            raise Closed(words[-1][len(name) :] if words[-1].startswith(name) else words[-1])


def other_pythons(python: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yields the paths of the machine's Pythons besides `python`: $PYTHON's, those on PATH, the system's."""
    folders = [*environ.get("PATH", os.defpath).split(os.pathsep), os.path.dirname(SYSTEM_PYTHON)]
    paths = [environ.get("PYTHON", "")]
    paths += [os.path.join(folder, name) for folder in folders if folder for name in ("python3", "python")]
    seen = {python}
    for path in paths:
        found = shutil.which(path, path=environ.get("PATH", os.defpath)) if path else None
        if found and found not in seen:
            seen.add(found)
            yield found
