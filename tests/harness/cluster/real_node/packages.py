"""containerd, runc and the network plugins of a real node: this machine's own, or Debian's packages unpacked."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.harness.cluster.kubernetes import build
from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.machine import syscalls

_PACKAGES = ("containerd", "runc", "containernetworking-plugins")
_PLUGIN_FOLDERS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
_PROGRAMS = ("containerd", "ctr", "runc", "containerd-shim-runc-v2")
_DOWNLOAD_SECONDS = 600


@dataclass(frozen=True)
class NodePackages:
    """Where the programs of a real node lie.

    Args:
      folders: of the programs.
      plugins: the folder of the network plugins.
    """

    folders: tuple[str, ...]
    plugins: str

    def program(self, name: str) -> str:
        """The file of a program."""
        found = shutil.which(name, path=os.pathsep.join(self.folders))
        if found is None:
            raise HarnessError(f"{name} is not in {', '.join(self.folders)}")
        return found


def missing() -> str:
    """Why this machine has no real node, in one line; empty where it can have one."""
    if not syscalls.has_root():
        return "a real node needs root"
    if _installed() is None and not _unpacked().is_dir() and shutil.which("apt-get") is None:
        return f"a real node needs {', '.join(_PACKAGES)}: install them (only on Debian they are fetched)"
    return ""


def find() -> NodePackages:
    """The programs, fetched if need be.

    Raises:
      HarnessError: they are not to be had.
    """
    installed = _installed()
    if installed is not None:
        return installed
    root = _unpacked()
    if not root.is_dir():
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{root}.lock", timeout=_DOWNLOAD_SECONDS):
            if not root.is_dir():
                _fetch(root)
    folders = tuple(str(root / folder) for folder in ("usr/bin", "usr/sbin"))
    return NodePackages(folders, str(root / "usr/lib/cni"))


def _installed() -> NodePackages | None:
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    plugins = next((folder for folder in _PLUGIN_FOLDERS if (Path(folder) / "bridge").exists()), None)
    if plugins is None or any(shutil.which(name, path=path) is None for name in _PROGRAMS):
        return None
    return NodePackages(tuple(path.split(os.pathsep)), plugins)


def _unpacked() -> Path:
    return build.cache_folder() / "debian-containerd"


def _fetch(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".debian-") as scratch:
        unfinished = Path(scratch) / "root"
        try:
            _run(["apt-get", "download", "-qq", *_PACKAGES], scratch)
            for package in sorted(Path(scratch).glob("*.deb")):
                _run(["dpkg", "-x", str(package), str(unfinished)], scratch)
        except (OSError, subprocess.SubprocessError) as error:
            told = (getattr(error, "stderr", "") or str(error)).strip()[-500:]
            raise HarnessError(f"{', '.join(_PACKAGES)} could not be fetched (apt-get update?): {told}") from error
        unfinished.rename(root)


def _run(command: list[str], folder: str) -> None:
    # Without a sandbox user of its own: that one may not write here.
    options = ["-o", "APT::Sandbox::User=root"] if command[0] == "apt-get" else []
    subprocess.run(
        [command[0], *options, *command[1:]],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=_DOWNLOAD_SECONDS,
    )
