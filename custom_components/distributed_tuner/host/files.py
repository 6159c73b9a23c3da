"""Files that are written atomically: neither a reader nor a crash ever sees half of one."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.host import crash

# The advice for a damaged file about which nothing else is known.
REMEDY = "Restore it from a copy, or remove it"
# The size of the stacks of all threads of a crashed worker.
_TAIL_BYTES = 256 * 1024


def write_atomically(path: Path, data: bytes, *, durable: bool = False, mode: int = 0o666) -> None:
    """Replaces the content of `path` atomically.

    Args:
      path: of the file.
      data: the new content.
      durable: whether it also survives a power failure.
      mode: the file's permissions, before the process's umask.

    Raises:
      OSError: the disk is full or not writable; `path` is unchanged.
    """
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory durable (fsync)."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path, remedy: str = REMEDY) -> Any | None:
    """The JSON in `path`, None if there is no such file.

    Args:
      path: of the file.
      remedy: what to do about a damaged one.

    Raises:
      CorruptState: the file holds no JSON.
      OSError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return parse_json(data, str(path), remedy)


def parse_json(data: bytes, where: str, remedy: str = REMEDY) -> Any:
    """Parses the JSON content of a file.

    Args:
      data: the file's content.
      where: its path or address.
      remedy: what to do about a damaged one.

    Raises:
      CorruptState: the content is not JSON.
    """
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptState(f"{where} is damaged: it holds no JSON: {error}. {remedy}") from error


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log, see `crash.last_lines`; empty if there is no file.

    Args:
      path: of the log.
      lines: how many.
    """
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return crash.last_lines(text, lines)
