"""The Kubernetes API with plain dicts: nothing is dropped that the `kubernetes` package's old models do not know."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config

from tests.harness.cluster.kubernetes.errors import ApiError

Object = dict[str, Any]

STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"

_REQUEST_SECONDS = 30
_WATCH_SECONDS = 300


class Api:
    """A client of one identity. Threads may share it.

    Args:
      kubeconfig: the file that says where the cluster is and who asks.
      token: asks as the owner of this service-account token instead.
    """

    def __init__(self, kubeconfig: Path, *, token: str = "") -> None:
        configuration = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        configuration.retries = False
        if token:
            configuration.api_key = {"authorization": f"Bearer {token}"}
            configuration.cert_file = configuration.key_file = None
        self._client = client.ApiClient(configuration)

    def get(self, path: str, **query: object) -> Object:
        """Reads an object or a list."""
        return self._object("GET", path, None, query)

    def items(self, path: str, **query: object) -> list[Object]:
        """The objects of a list."""
        items: list[Object] = self.get(path, **query).get("items") or []
        return items

    def text(self, path: str, **query: object) -> str:
        """Reads what is no object, such as a log."""
        with self._open("GET", path, None, query) as response:
            return response.data.decode(errors="replace")

    def create(self, path: str, body: Object) -> Object:
        """Creates an object in the collection `path`."""
        return self._object("POST", path, body)

    def replace(self, path: str, body: Object) -> Object:
        """Replaces the object at `path`."""
        return self._object("PUT", path, body)

    def patch(self, path: str, body: Object, content_type: str = STRATEGIC_MERGE) -> Object:
        """Changes the object at `path`."""
        return self._object("PATCH", path, body, content_type=content_type)

    def delete(self, path: str, *, propagation: str = "Background", grace: int | None = None, uid: str = "") -> None:
        """Deletes the object at `path`; that it is gone already is fine.

        Args:
          path: of the object.
          propagation: what becomes of what it owns: Background, Foreground or Orphan.
          grace: seconds that a pod gets to end.
          uid: deletes only the object with this uid.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self._object("DELETE", path, body)
        except ApiError as error:
            if error.status not in (404, 409 if uid else 404):
                raise

    def exists(self, path: str) -> bool:
        """Whether there is an object at `path`."""
        try:
            self.get(path)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def watch(self, path: str, stop: threading.Event, **query: object) -> Iterator[tuple[str, list[Object]]]:
        """What there is at `path`, then what changes, until the server ends the watch or `stop` is set.

        Yields:
          ("LISTED", all objects) once, then (ADDED, MODIFIED or DELETED, [object]).
        """
        listed = self.get(path, **query)
        yield "LISTED", listed["items"]
        follow = {
            "watch": "true",
            "resourceVersion": listed["metadata"]["resourceVersion"],
            "timeoutSeconds": _WATCH_SECONDS,
        }
        with self._open("GET", path, None, {**query, **follow}, seconds=_WATCH_SECONDS + 30) as response:
            for line in _lines(response):
                if stop.is_set():
                    return
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], [event["object"]]

    def _object(
        self,
        method: str,
        path: str,
        body: Object | None,
        query: Object | None = None,
        *,
        content_type: str = "application/json",
    ) -> Object:
        with self._open(method, path, body, query or {}, content_type=content_type) as response:
            answer: Object = json.loads(response.data)
        return answer

    def _open(
        self,
        method: str,
        path: str,
        body: Object | None,
        query: Object,
        *,
        content_type: str = "application/json",
        seconds: int = _REQUEST_SECONDS,
    ) -> urllib3.HTTPResponse:
        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        try:
            response, _, _ = self._client.call_api(
                path,
                method,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=seconds,
            )
        except client.rest.ApiException as error:
            raise _refusal(error) from None
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise ApiError(0, "NoAnswer", f"{method} {path}: {error}") from error
        return response


def _refusal(error: client.rest.ApiException) -> ApiError:
    raw = error.body if isinstance(error.body, bytes) else str(error.body).encode()
    try:
        status = json.loads(raw)
    except ValueError:
        status = {"message": raw[:300].decode(errors="replace")}
    wait = (error.headers or {}).get("Retry-After")
    return ApiError(
        error.status or 0,
        status.get("reason") or error.reason or "",
        status.get("message") or "",
        None if wait is None else float(wait),
    )


def _lines(response: urllib3.HTTPResponse) -> Iterator[bytes]:
    """The lines of a stream; a broken connection ends it."""
    rest = b""
    try:
        for part in response.stream(amt=None, decode_content=False):
            *lines, rest = (rest + part).split(b"\n")
            yield from (line for line in lines if line)
    except (urllib3.exceptions.HTTPError, OSError):
        return
