"""How much memory a process has, and how much it may have."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

_PROC = Path("/proc/self")
_GROUPS = Path("/sys/fs/cgroup")


def resident() -> int:
    """The resident memory of this process, in bytes, including pages that it shares with others."""
    return int((_PROC / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def allowance(groups: Path = _GROUPS, membership: Path = _PROC / "cgroup") -> int:
    """What all processes here may use together, in bytes: the machine's memory, or less if a control group limits it.

    Args:
      groups: where the control groups are mounted.
      membership: which of them this process is in.
    """
    return min([psutil.virtual_memory().total, *_limits(groups, membership)])


def tidy() -> None:
    """Returns unused memory to the machine."""
    gc.collect()
    # glibc only; other C libraries have no such call.
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _limits(groups: Path, membership: Path) -> Iterator[int]:
    """The limits of each control group above this process, of either version, as far as they can be read."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, file = (groups / "memory", "memory.limit_in_bytes") if controllers else (groups, "memory.max")
        group = root / path.lstrip("/")
        # In a container the path may be the host's, and the container's own group is mounted as the root.
        for place in {root, group, *(parent for parent in group.parents if root in parent.parents)}:
            try:
                text = (place / file).read_text().strip()
            except OSError:
                continue
            if text.isdigit():
                yield int(text)
