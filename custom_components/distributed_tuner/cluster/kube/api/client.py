"""The Kubernetes API as a search needs it: JSON in, JSON out, retrying while the server is busy or unreachable.

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
# Too many requests, a restarting server, and what load balancers in front of it answer meanwhile.
_BUSY = frozenset({429, 500, 502, 503, 504})

_T = TypeVar("_T")


class KubernetesApi:
    """A connection to one API server. Thread-safe.

    Args:
      connect: makes the kubernetes client's `ApiClient`; called again when the server no longer accepts the client's
        credentials, since tokens and certificates expire.
      patience_seconds: how long a request is retried while the server is busy or unreachable, or rejects credentials
        that it has accepted before.
    """

    def __init__(self, connect: Callable[[], Any], *, patience_seconds: float) -> None:
        self._connect = connect
        self._client = connect()
        self._patience = patience_seconds
        self._known = False

    def get(self, path: str, *, patience_seconds: float | None = None, **query: Any) -> Object:
        """Reads one object, or a list of them.

        Args:
          path: of the object or collection.
          patience_seconds: overrides the client's own.
          query: the request's query parameters.

        Returns:
          The object, as JSON.

        Raises:
          ApiError: the server refused; code 404 if there is no such object.
          ApiUnavailable: it did not answer in time.
        """
        return self._object(Call("GET", path, query), patience_seconds)

    def create(self, path: str, manifest: Mapping[str, Any]) -> Object:
        """Creates an object; the server rejects unknown fields.

        Args:
          path: of the collection.
          manifest: the object.

        Returns:
          The object as the server created it.

        Raises:
          ApiError: the server refused; code 409 if an object of this name exists, which may be this very one if an
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
          content_type: the patch type of `change`.
          patience_seconds: overrides the client's own.

        Returns:
          The object as changed.

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
        """Deletes an object; one that is already gone is not an error.

        Args:
          path: of the object.
          propagation: `Background`, `Foreground` or `Orphan`.
          grace_seconds: for pods; their own if left out.
          uid: deletes the object only if it has this uid, not another one of the same name.
          patience_seconds: overrides the client's own.

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
            # 409: the precondition failed: by now it is another object.
            if error.code != 404 and not (error.code == 409 and uid is not None):
                raise

    def text(self, path: str, *, patience_seconds: float, **query: Any) -> str:
        """Reads something other than JSON: a pod's log.

        Raises:
          ApiError: the server refused.
          ApiUnavailable: it did not answer in time.
        """
        return self._send(Call("GET", path, query), patience_seconds, text_of)

    def watch(self, path: str, *, seconds: int, stall_seconds: float, **query: Any) -> Iterator[tuple[str, Object]]:
        """Yields (type, object) of each change; ends after about `seconds`. One attempt, without retries.

        Args:
          path: of a collection.
          seconds: how long the server keeps the watch up.
          stall_seconds: a watch that is silent for longer, past the time when the server should have ended it, is
            abandoned.
          query: `resourceVersion` to resume from, and `labelSelector`.

        Raises:
          ApiError: the server refused; code 410 if it no longer has the resource version.
          ApiUnavailable: the connection broke or stalled, or what answers is not an API server.
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
            # The credentials have expired: retry once with the current ones.
            self._client = self._connect()
            response = call.to(self._client, answer_seconds)
        return response

    def _may_pass(self, error: BaseException) -> bool:
        if isinstance(error, (PluginError, Garbled)):
            # It has worked before, so this failure may pass.
            return self._known
        if not isinstance(error, ApiError):
            return isinstance(error, Unreachable)
        # A token that is being rotated; or the server cannot look up accounts at the moment and rejects everybody.
        expired = error.code == 401 and self._known
        return expired or error.code in _BUSY or _is_passing(error)


def _is_passing(error: ApiError) -> bool:
    if error.code == 409:
        # A write conflict, of a quota's counter for example; not a name that is taken, nor a failed uid precondition.
        return error.reason == "Conflict" and "Precondition failed" not in error.message
    # A server that has just started does not serve all kinds yet.
    return error.code == 404 and "could not find the requested resource" in error.message


_BACKOFF = tenacity.wait_random_exponential(multiplier=0.2, max=_LONGEST_PAUSE_SECONDS)


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ApiError) and error.retry_after else 0.0
    return max(asked, _BACKOFF(state))


def _event(line: bytes) -> tuple[str, Object]:
    """Parses a line of a watch. A proxy that wants its user to sign in, say, answers with something else."""
    try:
        event = json.loads(line)
        kind, changed = event["type"], event["object"]
        if not isinstance(changed, dict):
            raise TypeError(f"{type(changed).__name__} is no object")
    except (ValueError, KeyError, TypeError) as error:
        raise ApiUnavailable(f"a watch was told what no API server says: {line[:200]!r}") from error
    return kind, changed


def _note(state: tenacity.RetryCallState, patience_seconds: float) -> None:
    """Logs one visible line that the request is being retried, however many retries follow."""
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
