"""The Kubernetes API as a search needs it: JSON in, JSON out, patient with a server that is busy or away.

It goes through the kubernetes client's `ApiClient`, which knows kubeconfig files and service accounts, but not through
its models: see `manifests`.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import tenacity
import urllib3

from custom_components.distributed_tuner.cluster.kube.api.call import (
    MERGE_PATCH,
    Call,
    Garbled,
    Object,
    Unreachable,
    text_of,
)
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError, ApiUnavailable
from custom_components.distributed_tuner.cluster.kube.api.exec_plugin import PluginError

_LOG = logging.getLogger(__name__)

_ANSWER_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 10.0
# Too many requests, a server that restarts, and what load balancers in front of it say meanwhile.
_BUSY = frozenset({429, 500, 502, 503, 504})

_T = TypeVar("_T")


class KubernetesApi:
    """A connection to one API server. May be shared by threads.

    Args:
      connect: makes the kubernetes client's `ApiClient`; called again when the server does not know the client any
        more, since tokens and certificates expire.
      patience_seconds: how long a request is tried while the server is busy or away, or does not know a client that it
        has known before.
    """

    def __init__(self, connect: Callable[[], Any], *, patience_seconds: float) -> None:
        self._connect = connect
        self._client = connect()
        self._patience = patience_seconds
        self._known = False

    def get(self, path: str, *, patience_seconds: float | None = None, **query: Any) -> Object:
        """Reads one object, or a list of them.

        Raises:
          ApiError: the server refused; code 404 where there is none.
          ApiUnavailable: it did not answer in time.
        """
        return self._object(Call("GET", path, query), patience_seconds)

    def create(self, path: str, manifest: Mapping[str, Any]) -> Object:
        """Creates an object; unknown fields are refused.

        Raises:
          ApiError: the server refused; code 409 where one of this name is there, which may be this very one if an
            earlier answer was lost.
          ApiUnavailable: it did not answer in time.
        """
        return self._object(Call("POST", path, {"fieldValidation": "Strict"}, manifest))

    def patch(
        self, path: str, change: Any, content_type: str = MERGE_PATCH, *, patience_seconds: float | None = None
    ) -> Object:
        """Changes an object.

        Args:
          path: of the object.
          change: what to change.
          content_type: how `change` is to be read.
          patience_seconds: instead of the client's own.

        Raises:
          ApiError: the server refused.
          ApiUnavailable: it did not answer in time.
        """
        call = Call("PATCH", path, {"fieldValidation": "Strict"}, change, content_type)
        return self._object(call, patience_seconds)

    def delete(
        self,
        path: str,
        *,
        propagation: str = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
        patience_seconds: float | None = None,
    ) -> None:
        """Deletes an object; one that is gone already is no error.

        Args:
          path: of the object.
          propagation: `Background`, `Foreground` or `Orphan`.
          grace_seconds: for pods; their own if left out.
          uid: deletes only the object that has it, not another one of the same name.
          patience_seconds: instead of the client's own.

        Raises:
          ApiError: the server refused.
          ApiUnavailable: it did not answer in time.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            self._object(Call("DELETE", path, {}, body), patience_seconds)
        except ApiError as error:
            # 409: the precondition failed, so it is another object by now.
            if error.code != 404 and not (error.code == 409 and uid is not None):
                raise

    def text(self, path: str, *, patience_seconds: float, **query: Any) -> str:
        """Reads what is no JSON, a pod's log.

        Raises:
          ApiError: the server refused.
          ApiUnavailable: it did not answer in time.
        """
        return self._send(Call("GET", path, query), patience_seconds, text_of)

    def watch(self, path: str, *, seconds: int, stall_seconds: float, **query: Any) -> Iterator[tuple[str, Object]]:
        """Yields (type, object) of each change; ends after about `seconds`. One attempt, without patience.

        Args:
          path: of a collection.
          seconds: how long the server keeps the watch up.
          stall_seconds: a server that says nothing for longer, though it should have ended the watch, is given up.
          query: `resourceVersion`, to go on from, and `labelSelector`.

        Raises:
          ApiError: the server refused; code 410 where it does not remember the version any more.
          ApiUnavailable: the connection broke or stalled, or what answers is no API server.
        """
        query = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": seconds}
        with self._attempt(Call("GET", path, query), stall_seconds) as response:
            for line in _lines(response):
                kind, changed = _event(line)
                if kind == "ERROR":
                    raise ApiError(changed.get("code", 0), changed.get("reason", ""), changed.get("message", ""))
                yield kind, changed

    def _object(self, call: Call, patience_seconds: float | None = None) -> Object:
        return self._send(call, self._patience if patience_seconds is None else patience_seconds, json.loads)

    def _send(self, call: Call, patience_seconds: float, read: Callable[[bytes], _T]) -> _T:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._may_pass),
            wait=_pause,
            stop=tenacity.stop_after_delay(patience_seconds),
            before_sleep=lambda state: _note(state, patience_seconds),
            reraise=True,
        )

        def attempt() -> _T:
            with self._attempt(call, _ANSWER_SECONDS) as response:
                try:
                    data: bytes = response.data
                except (urllib3.exceptions.HTTPError, OSError) as error:
                    raise Unreachable(f"the API server broke off its answer to {call}: {error}") from error
            try:
                answer = read(data)
            except ValueError as error:
                raise Garbled(self._client.configuration.host, str(call), text_of(data)) from error
            self._known = True
            return answer

        return retrying(attempt)

    def _attempt(self, call: Call, answer_seconds: float) -> urllib3.HTTPResponse:
        try:
            response = call.to(self._client, answer_seconds)
        except (ApiError, Garbled) as error:
            if error.code != 401:
                raise
            # Its credentials have expired: once more with what is there now.
            self._client = self._connect()
            response = call.to(self._client, answer_seconds)
        return response

    def _may_pass(self, error: BaseException) -> bool:
        if isinstance(error, (PluginError, Garbled)):
            # It has been better: what it fails for may pass.
            return self._known
        if not isinstance(error, ApiError):
            return isinstance(error, Unreachable)
        # A token that is being replaced; or the server cannot read accounts at the moment, and knows nobody.
        expired = error.code == 401 and self._known
        return expired or error.code in _BUSY or _is_passing(error)


def _is_passing(error: ApiError) -> bool:
    if error.code == 409:
        # Two wrote at once, a quota's counter for example; not a name that is taken, nor another object of that name.
        return error.reason == "Conflict" and "Precondition failed" not in error.message
    # A server that has just started does not serve all kinds yet.
    return error.code == 404 and "could not find the requested resource" in error.message


_BACKOFF = tenacity.wait_random_exponential(multiplier=0.2, max=_LONGEST_PAUSE_SECONDS)


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ApiError) and error.retry_after else 0.0
    return max(asked, _BACKOFF(state))


def _event(line: bytes) -> tuple[str, Object]:
    """What a line of a watch tells. A proxy that wants its user to sign in, say, answers with other things."""
    try:
        event = json.loads(line)
        kind, changed = event["type"], event["object"]
        if not isinstance(changed, dict):
            raise TypeError(f"{type(changed).__name__} is no object")
    except (ValueError, KeyError, TypeError) as error:
        raise ApiUnavailable(f"a watch was told what no API server says: {line[:200]!r}") from error
    return kind, changed


def _note(state: tenacity.RetryCallState, patience_seconds: float) -> None:
    """One line for a person that the request is tried again, however often it is."""
    level = logging.WARNING if state.attempt_number == 1 else logging.DEBUG
    error = state.outcome.exception() if state.outcome else None
    _LOG.log(level, "trying again, for up to %g s: %s", patience_seconds, error)


def _lines(response: urllib3.HTTPResponse) -> Iterator[bytes]:
    pending = b""
    try:
        for chunk in response.stream():
            *lines, pending = (pending + chunk).split(b"\n")
            yield from filter(None, lines)
        if pending:
            yield pending
    except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as error:
        raise ApiUnavailable(f"a watch broke: {type(error).__name__}: {error}") from error
