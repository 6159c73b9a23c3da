"""Reads the record of a search from its directory, on this machine or in a bucket, and leaves no trace there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from custom_components.distributed_tuner import costs, fields, presence, quiet
from custom_components.distributed_tuner.costs import Price
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
        return _fetch_record(address)
    directory = SearchDir(Path(address))
    try:
        record = directory.read_record()
    except ValueError as error:
        raise CorruptState(f"{directory.record} is damaged: {error}") from error
    return StoredRecord(record, directory.record.stat().st_mtime) if record is not None else None


def prices(address: str) -> dict[str, Price]:
    """What the machines of the search's workers cost, as it was set up; empty where nobody said.

    Raises:
      CorruptState: the file of the set-up is damaged.
      OSError: it cannot be read.
    """
    path = SearchDir(Path(address)).spec
    if _elsewhere(address):
        found = _fetch(f"{address.rstrip('/')}/{path.name}")
        text = found[0] if found else b"{}"
    else:
        text = path.read_bytes() if path.exists() else b"{}"
    try:
        return costs.from_json(fields.mapping(json.loads(text), "the whole").get("prices", {}))
    except (ValueError, RecursionError) as error:
        raise CorruptState(f"{path.name} in {address} is damaged: {error}") from error


def who_serves(address: str) -> Presence:
    """Whether a chief serves the search; of a bucket that cannot be told."""
    return Presence.UNKNOWN if _elsewhere(address) else presence.look(SearchDir(Path(address)))


def _elsewhere(address: str) -> bool:
    return "://" in address


def _fetch_record(address: str) -> StoredRecord | None:
    path = f"{address.rstrip('/')}/record.json"
    found = _fetch(path)
    if found is None:
        return None
    data, stored = found
    try:
        return StoredRecord(record_from_json(json.loads(data.decode("utf-8"))), stored)
    except (CorruptState, ValueError, RecursionError) as error:
        raise CorruptState(
            f"{path} is damaged: {error}. The chief of a search that runs, or goes on, writes the file anew"
        ) from error


def _fetch(path: str) -> tuple[bytes, float] | None:
    """What a file holds and when it was written, None where there is none."""
    quiet.libraries()
    # Imported here: it takes seconds, and a local directory does not need it.
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            data: bytes = file.read()
        return data, tf.io.gfile.stat(path).mtime_nsec / _NANOSECONDS
    except tf.errors.NotFoundError:
        return None
    except tf.errors.OpError as error:
        reason = " ".join(error.message.split())
        raise OSError(f"{reason}. Check the address, your credentials and the network") from error
