"""Tells a full disk that the search is stored on, which is no fault of a trial, from any other.

All that is there to go by is the text of the trial's error. Where it leaves a doubt, the disk counts as the search's:
no trial should fail for want of room that is there again tomorrow.
"""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

# As the kernel puts it, through Python, TensorFlow and HDF5 alike.
_WORDS = "|".join(re.escape(os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT))
_FULL = re.compile(_WORDS)
# OSError's text, with the file's name as `repr` gives it; of a copy the second one is written to.
_OF_PYTHON = re.compile(rf"(?:{_WORDS}): (?:.* -> )?('.*'|\".*\")$")
_OF_TENSORFLOW = re.compile(rf"(?:: |\}}\}} )(/[^;]*); (?:{_WORDS})")

# A disk that has less may be the full one under another name: layers of a container, volumes of one pool.
_ROOM_BYTES = 64 << 20


def reason(message: str, places: Sequence[str]) -> str | None:
    """What a trial's error says of a full disk that the search is on.

    Args:
      message: the error, with its traceback.
      places: where the search and its checkpoints are stored: paths and addresses.

    Returns:
      In words, with the file's name where it is told; None where the error is about something else.
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
    """Whether it is on a file system of its own, for certain, and those of the search have room."""
    # TensorFlow writes what is for a bucket to a file of this machine first.
    if not Path(path).is_absolute() or not places or any("://" in place for place in places):
        return False
    try:
        device = _standing(path).stat().st_dev
        return all(at.stat().st_dev != device and _has_room(at) for at in map(_standing, places))
    except (OSError, RuntimeError, ValueError):
        # Links that lead in a circle, and names that are none.
        return False


def _standing(name: str) -> Path:
    """The file, or the nearest folder above where it would be."""
    path = Path(name).resolve()
    while not path.exists():
        path = path.parent
    return path


def _has_room(path: Path) -> bool:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize >= _ROOM_BYTES and (found.f_files == 0 or found.f_favail > 0)
