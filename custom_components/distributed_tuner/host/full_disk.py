"""Distinguishes a full disk that holds the search, which is not the trial's fault, from any other full disk.

The only evidence is the text of the trial's error. In doubt, the disk counts as the search's: no trial should fail for
lack of space that is there again tomorrow.
"""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

# The kernel's message, which Python, TensorFlow and HDF5 pass on alike.
_WORDS = "|".join(re.escape(os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT))
_FULL = re.compile(_WORDS)
# OSError's text, with the file's name as `repr` gives it; for a copy, the second name is the target.
_OF_PYTHON = re.compile(rf"(?:{_WORDS}): (?:.* -> )?('.*'|\".*\")$")
_OF_TENSORFLOW = re.compile(rf"(?:: |\}}\}} )(/[^;]*); (?:{_WORDS})")

# A disk with less free space may be the full one under another name: layers of a container, volumes of one pool.
_ROOM_BYTES = 64 << 20


def reason(message: str, places: Sequence[str]) -> str | None:
    """Whether a trial's error reports a full disk that the search is on.

    Args:
      message: the error, with its traceback.
      places: where the search and its checkpoints are stored: paths and addresses.

    Returns:
      The reason in words, with the file's name if known; None if the error is about something else.
    """
    full = [line for line in message.splitlines() if _FULL.search(line)]
    paths = [_path(line) for line in full]
    if all(path is not None and _is_elsewhere(path, places) for path in paths):
        return None
    named = next((path for path in paths if path is not None), None)
    return "could not write: the disk is full" if named is None else f"could not write {named}: the disk is full"


def _path(line: str) -> str | None:
    found = _OF_PYTHON.search(line)
    if found:
        try:
            return str(ast.literal_eval(found[1]))
        except (SyntaxError, ValueError):
            return None
    found = _OF_TENSORFLOW.search(line)
    return found[1] if found else None


def _is_elsewhere(path: str, places: Sequence[str]) -> bool:
    """Whether the path is certainly on a different file system from the search, and those of the search have space."""
    # TensorFlow writes files for a bucket to this machine first.
    if not Path(path).is_absolute() or not places or any("://" in place for place in places):
        return False
    try:
        device = _standing(path).stat().st_dev
        return all(at.stat().st_dev != device and _has_room(at) for at in map(_standing, places))
    except (OSError, RuntimeError, ValueError):
        # Circular links, and names that are invalid.
        return False


def _standing(name: str) -> Path:
    """The file, or the nearest existing folder above its path."""
    path = Path(name).resolve()
    while not path.exists():
        path = path.parent
    return path


def _has_room(path: Path) -> bool:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize >= _ROOM_BYTES and (found.f_files == 0 or found.f_favail > 0)
