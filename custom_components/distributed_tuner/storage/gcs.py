"""A folder in a Cloud Storage bucket, which pods on any machine share without a volume."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from custom_components.distributed_tuner.storage import bucket_journal
from custom_components.distributed_tuner.storage.base import Hold, Storage, Take
from custom_components.distributed_tuner.storage.bucket import PATIENCE_SECONDS, Bucket
from custom_components.distributed_tuner.storage.bucket_journal import BucketJournal, Layout
from custom_components.distributed_tuner.storage.journal import Journal
from custom_components.distributed_tuner.storage.object_lock import ObjectLock

_SCHEME = "gs://"
_JOURNAL = "journal/"
# An object takes one change a second, and each change costs money.
_RECORD_SECONDS = 5.0


class GcsStorage(Storage):
    """Objects below `url`.

    Args:
      url: `gs://BUCKET/FOLDER`.
      patience_seconds: how long the bucket may be unreachable.

    Raises:
      ValueError: the address names no bucket and folder.
    """

    record_seconds = _RECORD_SECONDS

    def __init__(self, url: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        bucket, _, folder = url.removeprefix(_SCHEME).strip("/").partition("/")
        if not url.startswith(_SCHEME) or not bucket or not folder:
            raise ValueError(f"{url}: expected gs://BUCKET/FOLDER")
        self._folder = folder
        self._bucket = Bucket(bucket, patience_seconds)

    @property
    def url(self) -> str:
        """See `Storage.url`."""
        return f"{_SCHEME}{self._bucket.name}/{self._folder}"

    @property
    def path(self) -> Path | None:
        """See `Storage.path`."""
        return None

    def patient(self, seconds: float) -> GcsStorage:
        """See `Storage.patient`."""
        return GcsStorage(self.url, seconds)

    def prepare(self) -> None:
        """See `Storage.prepare`: checks credentials, the bucket, and the right to list it."""
        self._bucket.list(f"{self._folder}/", limit=1)

    def read(self, name: str) -> bytes | None:
        """See `Storage.read`."""
        found = self._bucket.get(self._object(name))
        return found[0] if found is not None else None

    def written(self, name: str) -> float | None:
        """See `Storage.written`."""
        return self._bucket.updated(self._object(name))

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        self._bucket.put(self._object(name), data)

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        self._bucket.delete(self._object(name))

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`."""
        self._bucket.delete_all([found.name for found in self._bucket.list(f"{self._object(name)}/")])

    def open_journal(self, take: Take) -> Journal:
        """See `Storage.open_journal`."""
        return BucketJournal.open(self._bucket, self._object(_JOURNAL), take)

    def journal_position(self) -> int:
        """See `Storage.journal_position`."""
        return self._layout().last_entries

    def journal_state(self) -> str:
        """See `Storage.journal_state`."""
        return "empty" if self._layout().last else "missing"

    @contextlib.contextmanager
    def held(self, name: str, *, owner: str, wait_seconds: float) -> Iterator[Hold]:
        """See `Storage.held`. The holder renews the lock every few seconds."""
        lock = ObjectLock(self._bucket, self._object(name), owner)
        lock.take(wait_seconds)
        try:
            yield lock
        finally:
            lock.release()

    def _layout(self) -> Layout:
        return bucket_journal.look(self._bucket, self._object(_JOURNAL))

    def _object(self, name: str) -> str:
        return f"{self._folder}/{name}"
