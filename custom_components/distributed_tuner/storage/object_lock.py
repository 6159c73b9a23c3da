"""A lock that one process holds at a time: a lease on an object, which the holder renews while it lives.

No two machines' clocks are compared: a waiting process watches for itself whether the object changes. The lock is not
a fence: a process that was suspended for long learns only afterwards that it was taken over. What must not be written
twice is protected by preconditions of its own (see `bucket_journal`).
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid

from custom_components.distributed_tuner.storage.base import Hold, Locked
from custom_components.distributed_tuner.storage.bucket import Bucket

_LOG = logging.getLogger(__name__)

RENEW_SECONDS = 5.0
#: A holder that has not renewed the lease for this long is considered dead.
EXPIRE_SECONDS = 20.0
_LOOK_SECONDS = 1.0


class ObjectLock(Hold):
    """A lock, not yet taken.

    Args:
      bucket: where the object is.
      name: of the object.
      owner: an earlier holder with the same owner is known to be dead.
      renew_seconds: how often to renew.
      expire_seconds: see `EXPIRE_SECONDS`; must be the same for all contenders.
    """

    def __init__(
        self,
        bucket: Bucket,
        name: str,
        owner: str,
        *,
        renew_seconds: float = RENEW_SECONDS,
        expire_seconds: float = EXPIRE_SECONDS,
    ) -> None:
        self._bucket = bucket
        self._name = name
        self._owner = owner
        self._renew_seconds = renew_seconds
        self._expire_seconds = expire_seconds
        self._process = uuid.uuid4().hex
        self._beats = 0
        self._generation = 0
        self._lost = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="object-lock", daemon=True)

    def take(self, wait_seconds: float) -> None:
        """Takes the lock: at once if nobody holds it; after `expire_seconds` if its holder is dead.

        Args:
          wait_seconds: how long to wait for a live holder.

        Raises:
          Locked: a holder has renewed it meanwhile.
          OSError: see `Bucket`.
        """
        began = since = time.monotonic()
        seen = -1
        renewed = False
        while True:
            found = self._bucket.get(self._name)
            generation = found[1] if found is not None else 0
            if generation != seen:
                renewed = renewed or seen > 0
                seen, since = generation, time.monotonic()
            expired = time.monotonic() - since >= self._expire_seconds
            if found is None or expired or _told(found[0], "owner") == self._owner:
                taken = self._bucket.put_if(self._name, self._content(), generation)
                if taken is not None:
                    self._generation = taken
                    self._thread.start()
                    return
                continue
            if renewed and time.monotonic() - began >= wait_seconds:
                raise Locked(self._name)
            time.sleep(min(_LOOK_SECONDS, self._renew_seconds / 2))

    def check(self) -> None:
        """See `Hold.check`."""
        if self._lost:
            raise Locked(self._name)

    def release(self) -> None:
        """Releases the lock."""
        self._done.set()
        self._thread.join()
        if not self._lost:
            try:
                self._bucket.delete(self._name, self._generation)
            except OSError as error:
                _LOG.warning("the next one has to wait for this lock to expire: %s", error)

    def _renew(self) -> None:
        while not self._done.wait(self._renew_seconds):
            try:
                generation = self._renewed()
            except OSError as error:
                # As far as one can tell from here, nobody else can take it over either.
                _LOG.warning("%s", error)
                continue
            if generation is None:
                self._lost = True
                _LOG.error("gs://%s/%s was taken over by somebody else", self._bucket.name, self._name)
                return
            self._generation = generation

    def _renewed(self) -> int | None:
        """The new generation, None if another process has taken the lock over."""
        generation = self._bucket.put_if(self._name, self._content(), self._generation)
        if generation is None:
            # An earlier renewal that was given up may have succeeded after all.
            found = self._bucket.get(self._name)
            if found is not None and _told(found[0], "process") == self._process:
                return found[1]
        return generation

    def _content(self) -> bytes:
        self._beats += 1
        return json.dumps({"owner": self._owner, "process": self._process, "beat": self._beats}).encode()


def _told(content: bytes, what: str) -> object:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value.get(what) if isinstance(value, dict) else None
