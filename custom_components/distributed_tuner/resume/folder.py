"""A folder whose content is replaced as a whole: a crash leaves the earlier content or the new one.

    record.json     the value, and the name that the other files of the same commit bear
    NAME.npz        the value's arrays, if it has any
    NAME.*          what else belongs to the commit, such as a checkpoint

Files are written under a name of their own first, then the record that names them replaces the earlier record. On a
local disk that is a rename, in a bucket one object. Two processes that write to one folder (one of them thought dead)
never write to the same file.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from typing import Any

import numpy as np
import tensorflow as tf

from custom_components.distributed_tuner.resume import plain

_FORMAT = 1
_RECORD = "record.json"
_gfile = tf.io.gfile

# What reading and writing through TensorFlow's file systems may raise.
FILE_ERRORS = (OSError, tf.errors.OpError)


class CorruptFolder(ValueError):
    """The folder does not hold what `commit` leaves."""


class Folder:
    """One such folder, local or in a bucket. It need not exist before the first commit."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._process = uuid.uuid4().hex[:8]
        self._commits = 0

    def new_prefix(self) -> str:
        """A path that no file begins with yet, for files of the next commit. Makes the folder.

        Raises:
          OSError, tf.errors.OpError: the folder cannot be made.
        """
        _gfile.makedirs(self.path)
        self._commits += 1
        return f"{self.path}/{self._process}-{self._commits}"

    def commit(self, prefix: str, value: Any) -> None:
        """Replaces the folder's content by `value` and the files that begin with `prefix`.

        Args:
          prefix: from `new_prefix`.
          value: a plain value, see `plain`.

        Raises:
          TypeError: the value is not plain.
          OSError, tf.errors.OpError: the disk is full or may not be written; the earlier content is as it was.
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
        self._remove_others(name)

    def load(self) -> tuple[Any, str] | None:
        """(the value, the prefix of its files) of the last commit, None if there was none.

        Raises:
          CorruptFolder: the record or the arrays are damaged.
          OSError, tf.errors.OpError: the file system failed.
        """
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
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError, tf.errors.NotFoundError) as error:
            raise CorruptFolder(f"{self.path}: {type(error).__name__}: {error}") from error

    def clear(self) -> None:
        """Removes the folder, if it is there."""
        remove(self.path)

    def _remove_others(self, name: str) -> None:
        for entry in _gfile.listdir(self.path):
            if entry != _RECORD and not entry.startswith(f"{name}."):
                remove(f"{self.path}/{entry}".rstrip("/"))


def remove(path: str) -> None:
    """Removes a file or folder; one that is gone, or goes meanwhile, is fine."""
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
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
