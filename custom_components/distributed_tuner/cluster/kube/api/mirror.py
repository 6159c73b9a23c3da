"""A reflector: a copy of a collection of objects, kept up to date by a watch in a thread of its own.

Readers never wait for the API server. A server that is unreachable, busy, silent or has expired the resource version
(410) costs time only: the watch is resumed where it broke, or everything is listed again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api.call import Object
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError

_LOG = logging.getLogger(__name__)

# The server ends each watch after this time, so a connection that is silent for longer is dead.
_WATCH_SECONDS = 30
_STALL_SECONDS = 40.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
# So that a server or proxy that ends every watch at once is not flooded with requests.
_SHORT_WATCH_SECONDS = 1.0
_REFUSED = frozenset({403, 404})
# An API server that has just started refuses, for some seconds, whatever it has not loaded the roles for yet.
REFUSAL_SECONDS = 20.0


class Mirror:
    """Mirrors the objects at `path` that match `selector`.

    Args:
      api: the API server.
      path: of the collection.
      selector: a label selector.
      watch_seconds: how long one watch lasts.
      stall_seconds: a watch that is silent for this long is abandoned.
      refusal_seconds: a refusal that lasts this long is taken as final.
    """

    def __init__(
        self,
        api: KubernetesApi,
        path: str,
        selector: str,
        *,
        watch_seconds: int = _WATCH_SECONDS,
        stall_seconds: float = _STALL_SECONDS,
        refusal_seconds: float = REFUSAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._path = path
        self._selector = selector
        self._watch_seconds = watch_seconds
        self._stall_seconds = stall_seconds
        self._refusal_seconds = refusal_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._objects: dict[str, Object] = {}
        self._departed: list[Object] = []
        self._version: str | None = None
        self._heard = clock()
        self._refusal: tuple[float, ApiError] | None = None
        self._trouble = ""
        self._stopped = threading.Event()

    def start(self) -> None:
        """Lists once, with the API's patience, then starts the watch.

        Raises:
          ClusterError: the server refused or did not answer.
        """
        self._list(None)
        threading.Thread(target=self._run, name=f"watch {self._path}", daemon=True).start()

    def stop(self) -> None:
        """Ends the watch soon; does not wait for its thread."""
        self._stopped.set()

    def objects(self) -> list[Object]:
        """All objects as last reported.

        Raises:
          ApiError: the server refuses to list or watch them.
        """
        with self._lock:
            if self._refusal is not None and self._clock() - self._refusal[0] >= self._refusal_seconds:
                raise self._refusal[1]
            return list(self._objects.values())

    def departed(self) -> list[Object]:
        """Objects seen to be deleted since the last call, in their last state. Call it after `objects`.

        An object that is deleted while no watch is up is not among them.
        """
        with self._lock:
            departed, self._departed = self._departed, []
            return departed

    def silence(self) -> float:
        """Seconds since the server last answered."""
        with self._lock:
            return self._clock() - self._heard

    def trouble(self) -> str:
        """What was wrong at the last request to the server; empty if nothing was."""
        with self._lock:
            return self._trouble

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopped.is_set():
            began = self._clock()
            try:
                if self._version is None:
                    self._list(0.0)
                self._watch()
                pause = _FIRST_PAUSE_SECONDS
                if self._clock() - began >= _SHORT_WATCH_SECONDS:
                    continue
            except ApiError as error:
                self._note(error)
                self._take_refusal(error)
            except ClusterError as error:
                self._note(error)
                _LOG.info("%s", error)
            except Exception as error:
                # Whatever the server has sent: without this thread the search would see nothing any more.
                self._note(error)
                self._version = None
                _LOG.warning("what the API server answers to %s cannot be read", self._path, exc_info=True)
            self._stopped.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _note(self, error: Exception) -> None:
        words = str(error)
        if not isinstance(error, ClusterError):
            words = f"what the API server answers cannot be read: {type(error).__name__}: {words}"
        with self._lock:
            self._trouble = words

    def _hear(self) -> None:
        """Notes that the server answered; the lock is held."""
        self._heard, self._refusal, self._trouble = self._clock(), None, ""

    def _take_refusal(self, error: ApiError) -> None:
        if error.code == 410:
            self._version = None
            return
        _LOG.warning("%s", error)
        if error.code in _REFUSED:
            with self._lock:
                since = self._refusal[0] if self._refusal is not None else self._clock()
                self._refusal = since, error
        elif error.retry_after:
            self._stopped.wait(error.retry_after)

    def _list(self, patience_seconds: float | None) -> None:
        answer = self._api.get(self._path, labelSelector=self._selector, patience_seconds=patience_seconds)
        kind = str(answer.get("kind", "")).removesuffix("List")
        objects = {item["metadata"]["uid"]: {"kind": kind, **item} for item in answer["items"]}
        with self._lock:
            self._objects = objects
            self._version = answer["metadata"]["resourceVersion"]
            self._hear()

    def _watch(self) -> None:
        changes = self._api.watch(
            self._path,
            seconds=self._watch_seconds,
            stall_seconds=self._stall_seconds,
            labelSelector=self._selector,
            resourceVersion=self._version,
        )
        for kind, changed in changes:
            self._take(kind, changed)
            if self._stopped.is_set():
                return
        with self._lock:
            self._hear()

    def _take(self, kind: str, changed: dict[str, Any]) -> None:
        with self._lock:
            self._hear()
            self._version = changed["metadata"]["resourceVersion"]
            if kind == "DELETED":
                self._objects.pop(changed["metadata"]["uid"], None)
                self._departed.append(changed)
            elif kind != "BOOKMARK":
                self._objects[changed["metadata"]["uid"]] = changed
