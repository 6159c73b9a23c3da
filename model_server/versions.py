"""Which version is served: follows the base path and swaps versions without failing a request in between.

This is TensorFlow Serving's default, the policy "latest" with one version and availability first: the newest version is
loaded before the one it replaces is released, and that one stays until its last request has ended. In addition, a
version that cannot be loaded is retried when its files change, and until then the next older one is served if none is;
a directory that is still being written is left alone until it has been quiet for one poll.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from model_server import version_dirs
from model_server.errors import not_found
from model_server.version_dirs import Fingerprint, VersionDir

# A version whose files do not change may have failed for lack of memory, so it is retried now and then;
# TensorFlow Serving's load_retry_interval_micros has the same value.
RETRY_SECONDS = 60.0

# Some of TensorFlow's messages list every operation of a graph.
_MAX_REASON = 1000

_log = logging.getLogger(__name__)


class Closeable(Protocol):
    """A loaded model, as far as this module is concerned."""

    def close(self) -> None:
        """Frees what the model holds; called once, after its last user has gone."""


M = TypeVar("M", bound=Closeable)


@dataclass(frozen=True)
class VersionState:
    """The state of a version.

    Attributes:
        version: its number.
        state: a name of TensorFlow Serving's ModelVersionStatus.State: START, LOADING, AVAILABLE, UNLOADING or END.
        error: why it could not be loaded; empty if nothing went wrong.
    """

    version: int
    state: str
    error: str = ""


@dataclass
class _Served(Generic[M]):
    version: int
    fingerprint: Fingerprint
    model: M
    users: int = 0
    retired: bool = False


@dataclass(frozen=True)
class _Failure:
    fingerprint: Fingerprint
    at: float


class Versions(Generic[M]):
    """The versions of one model. `poll` belongs to one thread; everything else is thread-safe."""

    def __init__(
        self,
        model_name: str,
        base_path: Path,
        load: Callable[[Path], M],
        *,
        settle_seconds: float,
        on_available: Callable[[int], None] = lambda version: None,
    ) -> None:
        """Loads nothing yet; `poll` does.

        Args:
            model_name: for messages.
            base_path: the directory to follow; it may be absent.
            load: loads a version's directory, raising any Exception if it cannot.
            settle_seconds: how long a directory must have been left unchanged before it is loaded.
            on_available: called with the version in the polling thread, after each swap.
        """
        self._name = model_name
        self._base_path = base_path
        self._load = load
        self._settle_seconds = settle_seconds
        self._on_available = on_available
        self._lock = threading.Lock()
        self._current: _Served[M] | None = None
        self._in_use = 0
        self._states: dict[int, VersionState] = {}
        self._failures: dict[int, _Failure] = {}
        self._said: dict[object, str] = {}

    @contextmanager
    def lease(self, version: int | None = None) -> Iterator[tuple[int, M]]:
        """Leases the served version, which stays loaded until the block ends.

        Args:
            version: the requested one; None takes whichever is served.

        Raises:
            ServingError: NOT_FOUND, if no version, or not this one, is served.
        """
        with self._lock:
            served = self._current
            if served is None or version not in (None, served.version):
                asked = f"Latest({self._name})" if version is None else f"Specific({self._name}, {version})"
                raise not_found(f"Servable not found for request: {asked}{self._why_none()}")
            served.users += 1
            self._in_use += 1
        try:
            yield served.version, served.model
        finally:
            with self._lock:
                served.users -= 1
                self._in_use -= 1
                last = served.retired and served.users == 0
            if last:
                self._close(served)

    @property
    def in_use(self) -> int:
        """How many leases are held."""
        with self._lock:
            return self._in_use

    def states(self, version: int | None = None) -> list[VersionState]:
        """The states of all versions seen so far, newest first, or of one.

        Raises:
            ServingError: NOT_FOUND, if there is none.
        """
        with self._lock:
            if version is not None:
                if version not in self._states:
                    raise not_found(f"Could not find version {version} of model {self._name}")
                return [self._states[version]]
            if not self._states:
                raise not_found(f"Could not find any versions of model {self._name}{self._why_none()}")
            return [self._states[number] for number in sorted(self._states, reverse=True)]

    def poll(self) -> None:
        """Scans the base path once and loads, swaps or releases versions accordingly."""
        try:
            found = version_dirs.scan(self._base_path)
        except OSError as error:
            self._say("base", f"Cannot read the base path {self._base_path} ({error.strerror}). {self._meanwhile()}")
            return
        if not found:
            self._say(
                "base",
                f"No versions of {self._name} under {self._base_path}: a version is a directory whose name is a "
                "number, such as 1. Looking again at each poll.",
            )
            if self._current is not None:
                self._swap(None)
            return
        self._said.pop("base", None)
        for directory in reversed(found):
            if self._settle_on(directory):
                return

    def close(self) -> None:
        """Releases the served version; requests in flight still finish normally."""
        if self._current is not None:
            self._swap(None)

    def _settle_on(self, directory: VersionDir) -> bool:
        """Whether this directory's version is now served, so that no older one is needed."""
        current = self._current
        served = current is not None and current.version == directory.version
        try:
            seen = version_dirs.fingerprint(directory.path)
        except OSError as error:
            self._say(directory.version, f"Cannot read {directory.path} ({error.strerror}). {self._meanwhile()}")
            return served
        if served and current is not None and current.fingerprint == seen:
            return True
        return self._try_load(directory, seen) or served

    def _try_load(self, directory: VersionDir, seen: Fingerprint) -> bool:
        failure = self._failures.get(directory.version)
        if failure and failure.fingerprint == seen and time.monotonic() - failure.at < RETRY_SECONDS:
            return False
        if seen.quiet_for(time.time()) < self._settle_seconds:
            self._set_state(VersionState(directory.version, "START"))
            return False
        if not seen.has_model:
            self._fail(directory, seen, "it has no saved_model.pb, so it is incomplete or not a SavedModel")
            return False
        self._set_state(VersionState(directory.version, "LOADING"))
        started = time.monotonic()
        try:
            model = self._load(directory.path)
        except Exception as error:  # whatever TensorFlow raises for a broken model, the old version must go on
            words = " ".join(str(error).split())
            self._fail(directory, seen, f"{type(error).__name__}: {words[:_MAX_REASON]}")
            return False
        if version_dirs.fingerprint(directory.path) != seen:
            model.close()
            self._set_state(VersionState(directory.version, "START"))
            return False
        self._failures.pop(directory.version, None)
        self._said.pop(directory.version, None)
        self._swap(_Served(directory.version, seen, model))
        _log.info("Serving %s version %d (loaded in %.2f s)", self._name, directory.version, time.monotonic() - started)
        self._on_available(directory.version)
        return True

    def _swap(self, new: _Served[M] | None) -> None:
        with self._lock:
            old, self._current = self._current, new
            if new is not None:
                self._states[new.version] = VersionState(new.version, "AVAILABLE")
            if old is None:
                return
            old.retired = True
            idle = old.users == 0
            if new is None or new.version != old.version:
                self._states[old.version] = VersionState(old.version, "UNLOADING")
        if idle:
            self._close(old)

    def _close(self, served: _Served[M]) -> None:
        served.model.close()
        _log.info("Unloaded %s version %d", self._name, served.version)
        with self._lock:
            if self._states[served.version].state == "UNLOADING":
                self._states[served.version] = VersionState(served.version, "END")

    def _fail(self, directory: VersionDir, seen: Fingerprint, reason: str) -> None:
        self._failures[directory.version] = _Failure(seen, time.monotonic())
        current = self._current
        if current is None or current.version != directory.version:
            self._set_state(VersionState(directory.version, "END", reason))
        self._say(
            directory.version,
            f"Cannot load version {directory.version} of {self._name} from {directory.path}: {reason}. "
            f"{self._meanwhile()} It is tried again once its files change.",
        )

    def _set_state(self, state: VersionState) -> None:
        with self._lock:
            current = self._current
            if current is None or current.version != state.version:
                self._states[state.version] = state

    def _meanwhile(self) -> str:
        current = self._current
        return "Nothing is served meanwhile." if current is None else f"Version {current.version} goes on serving."

    def _why_none(self) -> str:
        if self._current is not None:
            return f". Version {self._current.version} is served"
        if not self._states:
            return f". There is no version under {self._base_path} yet; the server looks again at each poll"
        failed = [state for state in self._states.values() if state.error]
        return "".join(f". Version {state.version} cannot be loaded: {state.error}" for state in failed)

    def _say(self, topic: object, message: str) -> None:
        if self._said.get(topic) != message:
            self._said[topic] = message
            _log.warning("%s", message)
