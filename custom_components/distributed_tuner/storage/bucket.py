"""The calls to Cloud Storage that a search makes: retried while that may help, and their failures in words."""

from __future__ import annotations

import dataclasses
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import google.auth.exceptions
import requests
import urllib3
from google.api_core import exceptions
from google.cloud import storage
from google.resumable_media import DataCorruption

from custom_components.distributed_tuner.storage.base import StorageError

#: How long a bucket may be unreachable, in seconds, until `SearchOptions.bucket_patience_seconds` is known.
PATIENCE_SECONDS = 180.0

# After a pod's start its metadata server may take this long to know the service account.
_METADATA_SECONDS = 30.0
_TIMEOUT_SECONDS = (5.0, 30.0)  # to connect, and between two pieces of an answer
# Google's client keeps 10 connections.
_AT_ONCE = 8
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 8.0

_TRANSIENT = (
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
    google.auth.exceptions.TransportError,
    DataCorruption,
    ConnectionError,
    TimeoutError,
)
_REQUEST_TIMEOUT = 408
_RATES = ("rateLimitExceeded", "userRateLimitExceeded")
_BAD_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"

_ROLE = (
    "grant the service account that this runs as the roles roles/storage.objectUser and "
    "roles/storage.legacyBucketReader on the bucket (on GKE: the one that "
    "the pod's Kubernetes service account acts as, by workload identity)"
)
_CREDENTIALS = (
    "on GKE bind the pod's Kubernetes service account to one that may use the bucket (workload identity); elsewhere "
    "run `gcloud auth application-default login`"
)

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Listed:
    """An object in a listing. Each change of an object gives it a new generation."""

    name: str
    size: int
    generation: int


class Bucket:
    """One bucket, with the application's default credentials, or an emulator at STORAGE_EMULATOR_HOST. Thread-safe.

    Every call raises StorageError: at once if only a person can help, otherwise after it has failed for
    `patience_seconds`.

    Args:
      name: of the bucket.
      patience_seconds: how long a call is retried.
    """

    def __init__(self, name: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.name = name
        self._patience = patience_seconds
        self._lock = threading.Lock()
        self._connected: Any = None

    def get(self, name: str) -> tuple[bytes, int] | None:
        """(content, generation) of an object, None if there is none."""

        def get() -> tuple[bytes, int]:
            blob = self._bucket().blob(name)
            data: bytes = blob.download_as_bytes(timeout=_TIMEOUT_SECONDS, retry=None, raw_download=True)
            return data, int(blob.generation or 0)

        return self._call("read", name, get, absent=None)

    def updated(self, name: str) -> float | None:
        """When an object was last written, in seconds since the epoch; None if there is none."""

        def updated() -> float:
            blob = self._bucket().blob(name)
            blob.reload(timeout=_TIMEOUT_SECONDS, retry=None)
            return float(blob.updated.timestamp())

        return self._call("look at", name, updated, absent=None)

    def put(self, name: str, data: bytes) -> None:
        """Creates or replaces an object."""
        self._call("write", name, lambda: self._upload(name, data, None))

    def put_if(self, name: str, data: bytes, generation: int, *, unique: bool = True) -> int | None:
        """Replaces an object only if it has this generation; 0 stands for no object.

        An answer may be lost after the write succeeded; the retry then finds its own object in the way. It recognizes
        it by the content, so no two callers may write the same content.

        Args:
          name: of the object.
          data: its content.
          generation: see above.
          unique: whether nobody else writes this content. If not, an object in the way counts as somebody else's.

        Returns:
          The new generation, None if somebody else was first.
        """
        try:
            return self._call("write", name, lambda: self._upload(name, data, generation))
        except _Overtaken:
            found = self.get(name) if unique else None
            return found[1] if found is not None and found[0] == data else None

    def delete(self, name: str, generation: int | None = None) -> None:
        """Deletes an object, or only this generation if given; one that is gone, or has changed, is left alone."""

        def delete() -> None:
            self._bucket().blob(name).delete(if_generation_match=generation, timeout=_TIMEOUT_SECONDS, retry=None)

        try:
            self._call("remove", name, delete, absent=None)
        except _Overtaken:
            return

    def list(self, prefix: str, limit: int | None = None) -> list[Listed]:
        """The objects whose names begin with `prefix`, ordered by name; at most `limit`."""

        def names() -> list[Listed]:
            fields = "items(name,size,generation),nextPageToken"
            blobs = self._bucket().list_blobs(
                prefix=prefix, max_results=limit, fields=fields, timeout=_TIMEOUT_SECONDS, retry=None
            )
            return [Listed(blob.name, int(blob.size), int(blob.generation)) for blob in blobs]

        return self._call("list", prefix, names)

    def get_all(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """The contents of objects in this order, several at a time; None for a missing one."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bucket") as threads:
            for found in threads.map(self.get, names):
                yield found[0] if found is not None else None

    def delete_all(self, names: Sequence[str]) -> None:
        """Deletes objects, several at a time."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bucket") as threads:
            for _ in threads.map(self.delete, names):
                continue

    def _upload(self, name: str, data: bytes, generation: int | None) -> int:
        blob = self._bucket().blob(name)
        blob.upload_from_string(
            data,
            content_type="application/octet-stream",
            if_generation_match=generation,
            timeout=_TIMEOUT_SECONDS,
            checksum="md5",
            retry=None,
        )
        return int(blob.generation)

    def _bucket(self) -> Any:
        with self._lock:
            if self._connected is None:
                # No project: an object is found by its bucket's name alone.
                self._connected = storage.Client(project=None).bucket(self.name)
            return self._connected

    def _call(self, what: str, name: str, function: Callable[[], Result], **absent: Any) -> Result:
        """What the function returns, or `absent` if there is no such object."""
        began, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        while True:
            try:
                return function()
            except exceptions.PreconditionFailed as error:
                raise _Overtaken from error
            except exceptions.NotFound as error:
                if "absent" in absent and "bucket does not exist" not in str(error):
                    found: Result = absent["absent"]
                    return found
                raise self._failure(what, name, error, self._no_bucket()) from error
            except Exception as error:
                patience = self._patience_with(error)
                spent = time.monotonic() - began
                if patience == 0 or spent + pause > patience:
                    raise self._failure(what, name, error, _remedy(error, spent)) from error
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _patience_with(self, error: Exception) -> float:
        """How long to retry a call that failed this way, in seconds; 0 if that cannot help."""
        if isinstance(error, google.auth.exceptions.DefaultCredentialsError):
            return min(self._patience, _METADATA_SECONDS) if "KUBERNETES_SERVICE_HOST" in os.environ else 0.0
        return self._patience if _transient(error) else 0.0

    def _no_bucket(self) -> str:
        return f"there is no bucket {self.name}, or it may not be seen. Check the address, or make the bucket"

    def _failure(self, what: str, name: str, error: Exception, remedy: str) -> StorageError:
        return StorageError(f"gs://{self.name}/{name}: cannot {what} it: {_words(error)}. {remedy}")


class _Overtaken(Exception):
    """The object does not have the generation that was asked for."""


def _transient(error: Exception) -> bool:
    if _BAD_CERTIFICATE in str(error):
        return False
    if isinstance(error, google.auth.exceptions.RefreshError):
        return bool(getattr(error, "retryable", False))
    if isinstance(error, exceptions.Forbidden):
        return any(isinstance(entry, dict) and entry.get("reason") in _RATES for entry in _answer(error)["errors"])
    if isinstance(error, exceptions.GoogleAPICallError) and error.code == _REQUEST_TIMEOUT:
        return True
    return isinstance(error, _TRANSIENT)


def _answer(error: exceptions.GoogleAPICallError) -> dict[str, Any]:
    """The `message` and the `errors` of an answer, which usually is JSON."""
    try:
        told = error.response.json()["error"]
        return {"message": str(told["message"]), "errors": list(told.get("errors", ()))}
    except (AttributeError, ValueError, KeyError, TypeError):
        return {"message": str(error.message), "errors": []}


def _remedy(error: Exception, spent_seconds: float) -> str:
    if isinstance(error, exceptions.Forbidden) and not _transient(error):
        return f"The credentials may not do that: {_ROLE}"
    if isinstance(error, (exceptions.Unauthorized, google.auth.exceptions.GoogleAuthError)) and not _transient(error):
        return f"There are no valid credentials: {_CREDENTIALS}"
    if _BAD_CERTIFICATE in str(error):
        return "Whoever answered is not whom it should be: check the address, proxies and REQUESTS_CA_BUNDLE"
    if _transient(error):
        return (
            f"It was tried for {spent_seconds:.0f} s. Check the network and https://status.cloud.google.com, then run "
            "the same run id again: what was stored is kept"
        )
    return "Check the address and the bucket's settings"


def _words(error: Exception) -> str:
    if isinstance(error, exceptions.GoogleAPICallError):
        return f"{error.code} {_first_line(_answer(error)['message'])}"
    return f"{type(error).__name__}: {_first_line(str(error))}"


def _first_line(text: str) -> str:
    lines = text.strip().splitlines() or ["no reason given"]
    return lines[0].rstrip(".")
