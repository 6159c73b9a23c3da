"""A control group for the pods of one real node, so that its limits meet nothing else on this machine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.kubernetes.waiting import until

_ROOT = Path("/sys/fs/cgroup")
_END_SECONDS = 60.0


def _hierarchies() -> list[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [path for path in _ROOT.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink()]


def make(name: str) -> None:
    """Makes a group of this name, in every hierarchy.

    Raises:
      HarnessError: this process may not.
    """
    try:
        for hierarchy in _hierarchies():
            if (hierarchy / "cgroup.controllers").exists() and hierarchy == _ROOT:
                wanted = [f"+{one}" for one in (hierarchy / "cgroup.controllers").read_text().split()]
                (hierarchy / "cgroup.subtree_control").write_text(" ".join(wanted))
            group = hierarchy / name
            group.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                inherited = hierarchy / setting
                if inherited.exists() and hierarchy != _ROOT:
                    (group / setting).write_text(inherited.read_text())
    except OSError as error:
        raise HarnessError(
            f"control groups cannot be made here ({error}): the real node needs root, or --privileged"
        ) from error


def remove(name: str) -> None:
    """Removes the group and what was made below it, once the processes in it have ended."""
    groups = [hierarchy / name for hierarchy in _hierarchies()]

    def gone() -> bool:
        for folder in (folder for group in groups for folder, _, _ in os.walk(group, topdown=False)):
            with contextlib.suppress(OSError):  # it still holds a process
                Path(folder).rmdir()
        return not any(group.exists() for group in groups)

    until(gone, f"the end of all processes in the control group {name}", seconds=_END_SECONDS)
