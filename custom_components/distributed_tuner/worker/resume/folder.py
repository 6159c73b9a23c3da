"""A folder whose content is replaced atomically: a crash leaves either the earlier content or the new one.

    record.json     the value, and the name prefix of the other files of the same commit
    NAME.npz        the value's arrays, if it has any
    NAME.*          what else belongs to the commit, such as a checkpoint

Files are written under a unique name first, then the record that names them replaces the earlier record. On a local
disk that is a rename, in a bucket the write of one object.

Two processes may write to one folder, if one of them was presumed dead and wakes up. The record is the only file that
both write, and each removes only what it wrote itself or found when it began.
"""

from __future__ import annotations

import io
import json
import tokenize
import uuid
import zipfile
from typing import Any

import numpy as np
import tensorflow as tf

from custom_components.distributed_tuner.worker.resume import plain

_FORMAT = 1
_RECORD = "record.json"

_gfile = tf.io.gfile

# What reading and writing through TensorFlow's file systems may raise.
FILE_ERRORS = (OSError, tf.errors.OpError)

# What reading a record or arrays may raise if they are damaged or foreign: RuntimeError for what is nested too deeply
# or encrypted, MemoryError for arrays that claim to be larger than any machine's memory.
_DAMAGE = (
    *(ValueError, KeyError, TypeError, OverflowError, RuntimeError, MemoryError, EOFError),
    *(zipfile.BadZipFile, tokenize.TokenError, tf.errors.NotFoundError),
)


class CorruptFolder(ValueError):
    """The folder does not hold what `commit` writes."""


class Folder:
    """One such folder, local or in a bucket. It need not exist before the first commit."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._process = uuid.uuid4().hex[:8]
        self._prefixes = 0
        self._found: set[str] = set()

    def new_prefix(self) -> str:
        """A new path prefix for the files of the next commit. Makes the folder.

        Raises:
          OSError, tf.errors.OpError: the folder cannot be made.
        """
        _gfile.makedirs(self.path)
        self._prefixes += 1
        return f"{self.path}/{self._process}-{self._prefixes}"

    def commit(self, prefix: str, value: Any) -> None:
        """Replaces the folder's content by `value` and the files that begin with `prefix`.

        Args:
          prefix: from `new_prefix`.
          value: a plain value, see `plain`.

        Raises:
          TypeError: the value is not plain.
          OSError, tf.errors.OpError: the disk is full or not writable; the earlier content is unchanged.
        """
        text, arrays = plain.encode(value)
        if arrays:
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)
            with _gfile.GFile(f"{prefix}.npz", "wb") as file:
                file.write(buffer.getvalue())
        name = prefix.rpartition("/")[2]
        record = {"format": _FORMAT, "name": name, "arrays": bool(arrays), "value": text}
        temporary = f"{prefix}.tmp"
        with _gfile.GFile(temporary, "w") as file:
            file.write(json.dumps(record))
        _gfile.rename(temporary, f"{self.path}/{_RECORD}", overwrite=True)
        self._remove(keep=name)

    def load(self) -> tuple[Any, str] | None:
        """(the value, the prefix of its files) of the last commit, None if there was none.

        Called before this process's first commit.

        Raises:
          CorruptFolder: the record or the arrays are damaged.
          OSError, tf.errors.OpError: the file system failed.
        """
        self._found = set(self._entries())
        try:
            with _gfile.GFile(f"{self.path}/{_RECORD}", "r") as file:
                text = file.read()
        except tf.errors.NotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise CorruptFolder(f"{self.path}: the record is no text: {error}") from error
        try:
            record = json.loads(text)
            if record["format"] != _FORMAT:
                raise CorruptFolder(f"{self.path}: a record of format {record['format']}, this version has {_FORMAT}")
            prefix = f"{self.path}/{record['name']}"
            if "/" in record["name"]:
                raise CorruptFolder(f"{self.path}: the record names a file elsewhere: {record['name']}")
            arrays = _read_arrays(f"{prefix}.npz") if record["arrays"] else {}
            return plain.decode(record["value"], arrays), prefix
        except _DAMAGE as error:
            raise CorruptFolder(f"{self.path}: {type(error).__name__}: {error}") from error

    def adopt(self, prefix: str) -> str:
        """Copies the files of a commit, so that the process that made it cannot remove them.

        Returns:
          The prefix of the copies.

        Raises:
          OSError, tf.errors.OpError: a file is gone, or the disk is full.
        """
        own, name = self.new_prefix(), prefix.rpartition("/")[2]
        for entry in self._entries():
            if entry.startswith(f"{name}."):
                _gfile.copy(f"{self.path}/{entry}", own + entry[len(name) :])
        return own

    def discard(self) -> None:
        """Removes what this process wrote or found, and the record.

        Raises:
          OSError, tf.errors.OpError: the file system failed.
        """
        remove(f"{self.path}/{_RECORD}")
        self._remove(keep=None)

    def clear(self) -> None:
        """Removes the folder, if it is there."""
        remove(self.path)

    def _entries(self) -> list[str]:
        names = _gfile.listdir(self.path) if _gfile.isdir(self.path) else []
        return [name.rstrip("/") for name in names]

    def _remove(self, keep: str | None) -> None:
        for entry in self._entries():
            ours = entry.startswith(f"{self._process}-") or entry in self._found
            if ours and entry != _RECORD and not (keep and entry.startswith(f"{keep}.")):
                remove(f"{self.path}/{entry}")


def remove(path: str) -> None:
    """Removes a file or folder; does nothing if it does not exist, or is removed meanwhile."""
    try:
        if _gfile.isdir(path):
            _gfile.rmtree(path)
        elif _gfile.exists(path):
            _gfile.remove(path)
    except tf.errors.NotFoundError:
        return


def _read_arrays(path: str) -> plain.Arrays:
    with _gfile.GFile(path, "rb") as file:
        data = file.read()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # `commit` writes uncompressed archives. A compressed one may have any size once it is unpacked.
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise ValueError("the arrays are packed, as nobody here packs them")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
