"""Reads the record of a search from its directory, on this machine or in a bucket, and writes nothing there."""

from __future__ import annotations

import dataclasses

from custom_components.distributed_tuner.cli import quiet
from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.record import costs, fields
from custom_components.distributed_tuner.record.costs import Price
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.rpc import presence
from custom_components.distributed_tuner.rpc.presence import Presence
from custom_components.distributed_tuner.storage.search_dir import RECORD, SPEC, SearchDir

# A person is waiting at a terminal.
_PATIENCE_SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class StoredRecord:
    """A record as found; `stored` is when it was last written, in seconds since the epoch."""

    record: SearchRecord
    stored: float


def read(address: str) -> StoredRecord | None:
    """Reads a record.

    Args:
      address: the search directory: a path, or gs://…

    Returns:
      The record, None if there is none.

    Raises:
      CorruptState: the file holds no record.
      OSError: it cannot be read.
      ValueError: the address is invalid.
    """
    directory = _open(address)
    record = directory.read_record()
    stored = None if record is None else directory.storage.written(RECORD)
    return None if record is None or stored is None else StoredRecord(record, stored)


def prices(address: str) -> dict[str, Price]:
    """What the machines of the search's workers cost, as configured; empty if no prices were set.

    Raises:
      CorruptState: the set-up file is damaged.
      OSError: it cannot be read.
      ValueError: the address is invalid.
    """
    storage = _open(address).storage
    found = storage.read_json(SPEC)
    try:
        return costs.from_json(fields.mapping(found or {}, "the whole").get("prices", {}))
    except (ValueError, RecursionError) as error:
        raise CorruptState(f"{storage.where(SPEC)} is damaged: {error}") from error


def who_serves(address: str) -> Presence:
    """Whether a chief serves the search.

    Raises:
      OSError: the directory cannot be read.
      ValueError: the address is invalid.
    """
    return presence.look(_open(address))


def _open(address: str) -> SearchDir:
    quiet.libraries()
    directory = SearchDir(address)
    return SearchDir(directory.storage.patient(_PATIENCE_SECONDS))
