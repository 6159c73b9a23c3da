"""The files of one search, and their writers.

run.lock                held by the pipeline's step that watches the search
search.lock             held by the chief that serves the search
search.json             the spec that chief and workers are started with (the executor)
journal                 every transition, durable (the chief); a folder in a bucket
chief.json              where the chief listens (the chief)
token                   the chief's bearer token; readable by the user only (the cluster, on one machine)
record.json             the search as data, at most a second old, in a bucket five (the chief)
directory-id            distinguishes it from another directory at the same path, in another volume (the step, on
                        Kubernetes)
attempt                 the attempt at the search that the journal has entries of (a chief in a pod)
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
# The part of a trial's folder from which a lost worker's successor resumes.
RESUME = "resume"


# TensorFlow treats the path of a checkpoint to read as a glob pattern.
_PATTERN = re.compile(r"[*?\[\\]")
_ADDRESS = re.compile(r"[^\s:]+:[0-9]{1,5}")


def log_file(process: str) -> str:
    """The name of a process's log."""
    return f"{LOGS}/{process}.log"


def check_readable(address: str, what: str) -> None:
    """Checks that TensorFlow can read checkpoints from this path or address after writing them there.

    Args:
      address: the path or address.
      what: what the path is, for the error.

    Raises:
      SearchError: it cannot.
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
      root: the path or gs:// address of the search directory, or its storage.

    Raises:
      ValueError: the address is invalid.
    """

    def __init__(self, root: Path | str | Storage) -> None:
        self.storage = root if isinstance(root, Storage) else open_storage(root)

    @property
    def url(self) -> str:
        """The path or address."""
        return self.storage.url

    @property
    def root(self) -> Path:
        """The path; only a directory on this machine has one, or any of the paths below."""
        path = self.storage.path
        if path is None:
            raise ValueError(f"{self.url} is not on this machine")
        return path

    @property
    def lock(self) -> Path:
        """The file of the lock that the chief holds."""
        return self.root / LOCK

    @property
    def spec(self) -> Path:
        """The file of the spec that chief and workers are started with."""
        return self.root / SPEC

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return self.root / JOURNAL

    @property
    def chief(self) -> Path:
        """The file with the chief's address."""
        return self.root / CHIEF

    @property
    def token(self) -> Path:
        """The file of the chief's bearer token, while a local cluster runs the search."""
        return self.root / "token"

    @property
    def record(self) -> Path:
        """The file of the search as data."""
        return self.root / RECORD

    @property
    def error(self) -> Path:
        """The file with the reason why chief or worker gave up for good."""
        return self.root / ERROR

    @property
    def attempt(self) -> Path:
        """The file with the attempt at the search that the journal has entries of."""
        return self.root / ATTEMPT

    @property
    def logs(self) -> Path:
        """The folder of the logs, one file for each process."""
        return self.root / LOGS

    def log(self, process: str) -> Path:
        """The log of one process, by its name."""
        return self.root / log_file(process)

    def create(self) -> None:
        """Creates what has to exist before anything else.

        Raises:
          SearchError: checkpoints could not be read there.
          OSError: the storage refuses.
        """
        check_readable(self.url, "the search directory")
        self.storage.prepare()
        if self.storage.path is not None:
            self.logs.mkdir(exist_ok=True)

    def write_error(self, process: str, message: str, trace: str = "") -> None:
        """Leaves the reason for giving up for the executor; the first one written stays.

        Args:
          process: the process that gives up.
          message: why, for people.
          trace: its traceback.

        Raises:
          OSError: the storage refuses.
        """
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
        """Where the chief listens (`host:port`), None if it has not said so yet, or the file is damaged."""
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
        """The search as data, None before the chief has stored it for the first time.

        Raises:
          CorruptState: the file is not a record; the message names the file, the place in it, and what to do.
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
