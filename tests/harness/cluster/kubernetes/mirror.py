"""A copy of a collection of objects that follows the API server."""

from __future__ import annotations

import threading

from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.errors import ApiError

_RETRY_SECONDS = 0.3


class Mirror:
    """The objects of one collection, by namespace and name, as of some milliseconds ago.

    Args:
      api: reads them.
      path: of the collection.
    """

    def __init__(self, api: Api, path: str) -> None:
        self._api = api
        self._path = path
        self._objects: dict[tuple[str, str], Object] = {}
        self._stop = threading.Event()
        threading.Thread(target=self._follow, daemon=True, name=f"mirror {path}").start()

    def get(self, namespace: str, name: str) -> Object | None:
        """One object."""
        return self._objects.get((namespace, name))

    def all(self) -> list[Object]:
        """All objects."""
        return list(self._objects.values())

    def close(self) -> None:
        """Stops following."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                for kind, objects in self._api.watch(self._path, self._stop):
                    self._apply(kind, objects)
            except ApiError:
                pass  # the API server is away: list again
            self._stop.wait(_RETRY_SECONDS)

    def _apply(self, kind: str, objects: list[Object]) -> None:
        keyed = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in objects}
        if kind == "LISTED":
            self._objects = keyed
        elif kind == "DELETED":
            self._objects = {key: one for key, one in self._objects.items() if key not in keyed}
        else:
            self._objects = {**self._objects, **keyed}
