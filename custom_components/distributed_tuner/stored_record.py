"""Reads the record of a search from its directory, on this machine or in a bucket, and leaves no trace there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from custom_components.distributed_tuner import presence, quiet
from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.presence import Presence
from custom_components.distributed_tuner.record import SearchRecord
from custom_components.distributed_tuner.search_dir import SearchDir, record_from_json

_NANOSECONDS = 1e9


@dataclasses.dataclass(frozen=True)
class StoredRecord:
    """A record as it was found; `stored` is when it was written last, seconds since the epoch."""

    record: SearchRecord
    stored: float


def read(address: str) -> StoredRecord | None:
    """Reads a record.

    Args:
      address: the search directory: a path, or gs://… and what else TensorFlow reads.

    Returns:
      The record, None where there is none.

    Raises:
      CorruptState: the file holds no record.
      OSError: it cannot be read.
    """
    if _elsewhere(address):
        return _fetch(address)
    directory = SearchDir(Path(address))
    try:
        record = directory.read_record()
    except ValueError as error:
        raise CorruptState(f"{directory.record} is damaged: {error}") from error
    return StoredRecord(record, directory.record.stat().st_mtime) if record is not None else None


def who_serves(address: str) -> Presence:
    """Whether a chief serves the search; of a bucket that cannot be told."""
    return Presence.UNKNOWN if _elsewhere(address) else presence.look(SearchDir(Path(address)))


def _elsewhere(address: str) -> bool:
    return "://" in address


def _fetch(address: str) -> StoredRecord | None:
    quiet.libraries()
    # Imported here: it takes seconds, and a local directory does not need it.
    import tensorflow as tf

    path = f"{address.rstrip('/')}/record.json"
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            data = file.read()
        stored = tf.io.gfile.stat(path).mtime_nsec / _NANOSECONDS
    except tf.errors.NotFoundError:
        return None
    except tf.errors.OpError as error:
        reason = " ".join(error.message.split())
        raise OSError(f"{reason}. Check the address, your credentials and the network") from error
    try:
        return StoredRecord(record_from_json(json.loads(data.decode("utf-8"))), stored)
    except (CorruptState, ValueError, RecursionError) as error:
        raise CorruptState(
            f"{path} is damaged: {error}. The chief of a search that runs, or goes on, writes the file anew"
        ) from error
