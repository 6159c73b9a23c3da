"""The version directories under a base path, and what can be known about them without loading them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

# A version is an int64 in every message of TensorFlow Serving.
MAX_VERSION = 2**63 - 1
# A SavedModel's graph is in one of these files.
_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True)
class Fingerprint:
    """The state of a directory at one moment; equal if nothing has changed since.

    Attributes:
        files: path, size in bytes and time of modification in ns of each file.
        changed_at: when anything in it last changed, in s since the epoch. It is the ctime, since copying tools set the
            mtime back to the original's.
    """

    files: tuple[tuple[str, int, int], ...]
    changed_at: float = field(compare=False)

    def quiet_for(self, now: float) -> float:
        """Seconds since the last change, never negative."""
        return max(0.0, now - self.changed_at)

    @property
    def has_model(self) -> bool:
        """Whether there is a SavedModel's main file."""
        return any(name in _MODEL_FILES for name, _, _ in self.files)


@dataclass(frozen=True)
class VersionDir:
    """A directory whose name is a version number."""

    version: int
    path: Path


def parse_version(text: str) -> int | None:
    """The version number that `text` is in decimal digits; None if it is not one, or exceeds an int64."""
    if not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(MAX_VERSION)) or int(digits) > MAX_VERSION:
        return None
    return int(digits)


def scan(base_path: Path) -> list[VersionDir]:
    """The version directories, oldest version first.

    Names are decimal numbers that fit into an int64; if two names mean the same number (`7` and `007`), the
    alphabetically first counts. Other names and plain files are ignored.

    Raises:
        OSError: the base path does not exist or cannot be read.
    """
    found: dict[int, VersionDir] = {}
    for path in sorted(base_path.iterdir()):
        version = parse_version(path.name)
        if version is not None and path.is_dir():
            found.setdefault(version, VersionDir(version, path))
    return [found[version] for version in sorted(found)]


def fingerprint(directory: Path) -> Fingerprint:
    """Stats each file of a directory; one that vanishes meanwhile counts as a change just now."""
    files = []
    changed_at = 0.0
    try:
        changed_at = directory.stat().st_ctime
        for path in sorted(directory.rglob("*")):
            stat = path.stat()
            changed_at = max(changed_at, stat.st_ctime)
            if path.is_file():
                files.append((path.relative_to(directory).as_posix(), stat.st_size, stat.st_mtime_ns))
    except FileNotFoundError:
        changed_at = time.time()
    return Fingerprint(tuple(files), changed_at)
