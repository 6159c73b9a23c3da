"""What a bucket of Cloud Storage is: objects with generations, listed in the order of their names."""

from __future__ import annotations

import dataclasses
import threading
import time


class NoSuchObject(LookupError):
    """There is no such bucket or object."""


class PreconditionFailed(RuntimeError):
    """The object's generation is not the one that the caller asked for; 0 stands for no object."""


@dataclasses.dataclass(frozen=True)
class StoredObject:
    """One version of an object; `updated` is seconds since the epoch."""

    bucket: str
    name: str
    data: bytes
    generation: int
    updated: float


@dataclasses.dataclass(frozen=True)
class Page:
    """A part of a listing; `token` is what the next part begins after, None at the end."""

    objects: tuple[StoredObject, ...]
    prefixes: tuple[str, ...]
    token: str | None


class Objects:
    """Buckets and their objects, strongly consistent as the real ones are. Thread-safe."""

    def __init__(self, *buckets: str) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, dict[str, StoredObject]] = {name: {} for name in buckets}
        self._generation = 1_700_000_000_000_000

    def buckets(self) -> tuple[str, ...]:
        """The buckets that there are."""
        return tuple(self._buckets)

    def put(self, bucket: str, name: str, data: bytes, if_generation: int | None = None) -> StoredObject:
        """Makes or replaces an object as a whole.

        Raises:
          NoSuchObject: there is no such bucket.
          PreconditionFailed: see there.
        """
        with self._lock:
            objects = self._objects(bucket)
            _check(objects.get(name), if_generation)
            self._generation += 1
            objects[name] = StoredObject(bucket, name, data, self._generation, time.time())
            return objects[name]

    def get(self, bucket: str, name: str) -> StoredObject:
        """An object.

        Raises:
          NoSuchObject: see there.
        """
        with self._lock:
            try:
                return self._objects(bucket)[name]
            except KeyError:
                raise NoSuchObject(f"No such object: {bucket}/{name}") from None

    def delete(self, bucket: str, name: str, if_generation: int | None = None) -> None:
        """Removes an object.

        Raises:
          NoSuchObject, PreconditionFailed: see there.
        """
        with self._lock:
            objects = self._objects(bucket)
            _check(objects.get(name), if_generation)
            if name not in objects:
                raise NoSuchObject(f"No such object: {bucket}/{name}")
            del objects[name]

    def clear(self, bucket: str) -> None:
        """Removes all objects of a bucket."""
        with self._lock:
            self._objects(bucket).clear()

    def page(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Page:
        """At most `limit` names beyond `after` that begin with `prefix`, in order.

        With a delimiter, names that have one behind the prefix are told as prefixes, each once.

        Raises:
          NoSuchObject: there is no such bucket.
        """
        with self._lock:
            found = sorted(self._objects(bucket).items())
        entries: dict[str, StoredObject | None] = {}
        for name, candidate in found:
            if name.startswith(prefix):
                head, mark, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
                entries.setdefault(prefix + head + mark if mark else name, None if mark else candidate)
        left = [name for name in entries if name > after]
        shown = left[:limit]
        objects = tuple(stored for name in shown if (stored := entries[name]) is not None)
        prefixes = tuple(name for name in shown if entries[name] is None)
        return Page(objects, prefixes, shown[-1] if len(left) > limit else None)

    def _objects(self, bucket: str) -> dict[str, StoredObject]:
        if bucket not in self._buckets:
            raise NoSuchObject(f"The specified bucket does not exist: {bucket}")
        return self._buckets[bucket]


def _check(stored: StoredObject | None, if_generation: int | None) -> None:
    generation = stored.generation if stored else 0
    if if_generation is not None and if_generation != generation:
        raise PreconditionFailed(f"the generation is {generation}, not {if_generation}")
