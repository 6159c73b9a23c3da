"""Files written so that a reader, or a crash, never meets half of one."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.host import crash

# What to do about a damaged file of which nothing else is known.
REMEDY = "Restore it from a copy, or remove it"
# The stacks of all threads of a worker that crashed.
_TAIL_BYTES = 256 * 1024


def write_atomically(path: Path, data: bytes, *, durable: bool = False, mode: int = 0o666) -> None:
    """Replaces `path` by `data` in one step.

    Args:
      path: of the file.
      data: what it holds then.
      durable: whether that also survives a power cut.
      mode: who may do what with the file, as far as the process's umask lets them.

    Raises:
      OSError: the disk is full or may not be written; `path` is as before.
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
    """Makes the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path, remedy: str = REMEDY) -> Any | None:
    """The JSON in `path`, None where there is no such file.

    Args:
      path: of the file.
      remedy: what to do about one that is damaged.

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
    """The JSON that a file holds.

    Args:
      data: the file's content.
      where: its path or address.
      remedy: what to do about one that is damaged.

    Raises:
      CorruptState: it holds none.
    """
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptState(f"{where} is damaged: it holds no JSON: {error}. {remedy}") from error


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log, see `crash.last_lines`; empty where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return crash.last_lines(text, lines)
