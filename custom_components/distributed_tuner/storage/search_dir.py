"""The files of one search and who writes them.

run.lock                held by the pipeline's step that watches the search
search.lock             held by the chief that serves the search
search.json             what chief and workers are started with (the executor)
journal                 every transition, durable (the chief); in a bucket a folder
chief.json              where the chief listens (the chief)
token                   what it asks of those who call it; for the user's own eyes (the cluster, on one machine)
record.json             the search as data, at most a second old, in a bucket five (the chief)
directory-id            tells it from another directory at the same path, in another volume (the step, on Kubernetes)
attempt                 which attempt at the search the journal has entries of (a chief in a pod)
error.json              why chief or worker gave up for good
logs/                   one file for each process
<project>/oracle.json, <project>/trial_*/trial.json
                        the same state as keras-tuner stores it (the chief); checkpoints (the workers)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from custom_components.distributed_tuner.errors import CorruptState, SearchError, storable
from custom_components.distributed_tuner.host import files
from custom_components.distributed_tuner.record import fields, record_json
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.storage import open_storage
from custom_components.distributed_tuner.storage.base import Storage

_RECORD_REMEDY = (
    "While the journal is there nothing is lost: run the same run id again, and the chief writes the file anew"
)


SPEC = "search.json"
LOCK = "search.lock"
RUN_LOCK = "run.lock"
CHIEF = "chief.json"
JOURNAL = "journal"
RECORD = "record.json"
ERROR = "error.json"
ATTEMPT = "attempt"
DIRECTORY_ID = "directory-id"
LOGS = "logs"
# Of a trial's folder, the part that holds what a lost worker's successor goes on from.
RESUME = "resume"


# TensorFlow takes the path of a checkpoint that it reads for a pattern.
_PATTERN = re.compile(r"[*?\[\\]")
_ADDRESS = re.compile(r"[^\s:]+:[0-9]{1,5}")


def log_file(process: str) -> str:
    """The name of the log of one process."""
    return f"{LOGS}/{process}.log"


def check_readable(address: str, what: str) -> None:
    """Makes sure that TensorFlow reads from this path or address the checkpoints that it wrote there.

    Args:
      address: the path or address.
      what: what it is of.

    Raises:
      SearchError: it does not.
    """
    found = _PATTERN.search(address)
    if found:
        raise SearchError(
            f"{what} {address!r} contains {found[0]!r}: TensorFlow takes such a path for a pattern and finds none of "
            "the weights that it saves there. Choose another one"
        )


class SearchDir:
    """The files of a search, on this machine or in a bucket.

    Args:
      root: the path or gs:// address of the search directory, or the storage that it is.

    Raises:
      ValueError: the address is none.
    """

    def __init__(self, root: Path | str | Storage) -> None:
        self.storage = root if isinstance(root, Storage) else open_storage(root)

    @property
    def url(self) -> str:
        """The path or address."""
        return self.storage.url

    @property
    def root(self) -> Path:
        """The path; only a directory on this machine has one, and the paths below."""
        path = self.storage.path
        if path is None:
            raise ValueError(f"{self.url} is not on this machine")
        return path

    @property
    def lock(self) -> Path:
        """Held by the chief."""
        return self.root / LOCK

    @property
    def spec(self) -> Path:
        """What chief and workers are started with."""
        return self.root / SPEC

    @property
    def journal(self) -> Path:
        """Every transition."""
        return self.root / JOURNAL

    @property
    def chief(self) -> Path:
        """Where the chief listens."""
        return self.root / CHIEF

    @property
    def token(self) -> Path:
        """What the chief asks of those who call it, while a local cluster runs the search."""
        return self.root / "token"

    @property
    def record(self) -> Path:
        """The search as data."""
        return self.root / RECORD

    @property
    def error(self) -> Path:
        """Why chief or worker gave up for good."""
        return self.root / ERROR

    @property
    def attempt(self) -> Path:
        """Which attempt at the search the journal has entries of."""
        return self.root / ATTEMPT

    @property
    def logs(self) -> Path:
        """One file for each process."""
        return self.root / LOGS

    def log(self, process: str) -> Path:
        """The log of one process, by its name."""
        return self.root / log_file(process)

    def create(self) -> None:
        """Makes what has to be there before anything else.

        Raises:
          SearchError: no checkpoint could be read there.
          OSError: the place refuses.
        """
        check_readable(self.url, "the search directory")
        self.storage.prepare()
        if self.storage.path is not None:
            self.logs.mkdir(exist_ok=True)

    def write_error(self, process: str, message: str, trace: str = "") -> None:
        """Leaves the reason for giving up where the executor finds it; the first one stays."""
        if self.storage.read(ERROR) is None:
            data = json.dumps({"process": process, "message": storable(message), "traceback": storable(trace)})
            self.storage.write(ERROR, data.encode())

    def read_error(self) -> tuple[str, str, str] | None:
        """(process, message, traceback) of `write_error`, None if nobody gave up.

        Raises:
          CorruptState: the file holds something else.
          OSError: it cannot be read.
        """
        data = self.storage.read_json(ERROR)
        if data is None:
            return None
        try:
            error = fields.check(data, _ERROR, "")
        except ValueError as fault:
            raise CorruptState(f"{self.storage.where(ERROR)} is damaged: {fault}. {files.REMEDY}") from fault
        return error["process"], error["message"], error["traceback"]

    def read_address(self) -> str | None:
        """Where the chief listens (`host:port`), None while it has not said so, or in a file that is damaged."""
        address = self._read_chief("address")
        return address if address and _ADDRESS.fullmatch(address) else None

    def read_machine(self) -> str | None:
        """The host name of the chief's machine, None as for `read_address`."""
        return self._read_chief("machine")

    def _read_chief(self, key: str) -> str | None:
        try:
            chief = self.storage.read_json(CHIEF)
        except CorruptState:
            return None
        value = chief.get(key) if isinstance(chief, dict) else None
        return value if isinstance(value, str) else None

    def read_record(self) -> SearchRecord | None:
        """The search as data, None before the chief stored it the first time.

        Raises:
          CorruptState: the file holds no record; the message names the file, the place in it, and what to do.
          OSError: it cannot be read.
        """
        data = self.storage.read_json(RECORD, _RECORD_REMEDY)
        if data is None:
            return None
        try:
            return record_json.record_from_json(data)
        except CorruptState as error:
            raise CorruptState(f"{self.storage.where(RECORD)} is damaged: {error}. {_RECORD_REMEDY}") from error


_ERROR: Mapping[str, fields.Kind] = {"process": fields.text, "message": fields.text, "traceback": fields.text}
