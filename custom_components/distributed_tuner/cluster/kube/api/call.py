"""One attempt at a request to the Kubernetes API, and what its failure means."""

from __future__ import annotations

import dataclasses
import json
import re
import ssl
from collections.abc import Mapping
from typing import Any

import urllib3

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api import web_page
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError, ApiUnavailable

MERGE_PATCH = "application/merge-patch+json"
#: The patch that merges lists of conditions by their types.
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

Object = dict[str, Any]

_CONNECT_SECONDS = 5.0
_LONGEST_RETRY_AFTER_SECONDS = 60.0
# How much of an unrecognized error is shown, in characters.
_SHOWN = 500
_TOO_MANY = 429
# How Python prints an object that has no text of its own.
_OBJECT = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>:? ?")
# OpenSSL's names for certificates and keys that it cannot load: nothing has been sent yet.
_BAD_FILE = re.compile(r"PEM lib|NO_START_LINE|KEY_VALUES_MISMATCH|NO_CERTIFICATE_OR_CRL_FOUND")


@dataclasses.dataclass(frozen=True)
class Call:
    """A request to the API server."""

    method: str
    path: str
    query: Mapping[str, Any]
    body: Any = None
    content_type: str = "application/json"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def to(self, client: Any, answer_seconds: float) -> urllib3.HTTPResponse:
        """Sends the request once, without retries.

        Args:
          client: the kubernetes client's `ApiClient`.
          answer_seconds: how long to wait for each part of the answer.

        Returns:
          The response, its body not yet read.

        Raises:
          ApiError: the server refused.
          Unreachable: no server answered.
          Garbled: what answers is not an API server.
          ClusterError: the request cannot be sent, or the certificates cannot be used.
        """
        from kubernetes.client.exceptions import ApiException

        headers = {"Accept": "application/json"}
        if self.body is not None:
            headers["Content-Type"] = self.content_type
        try:
            response: urllib3.HTTPResponse = client.call_api(
                self.path,
                self.method,
                query_params=list(self.query.items()),
                header_params=headers,
                body=self.body,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=(_CONNECT_SECONDS, answer_seconds),
            )
        except ApiException as error:
            if not error.status:  # a failed handshake
                raise _unreachable(client.configuration.host, str(self), error) from error
            raise _api_error(client.configuration.host, error, str(self)) from None
        except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as error:
            raise _unreachable(client.configuration.host, str(self), error) from error
        except ValueError:
            # http.client's message quotes the whole header, with the token.
            raise ClusterError(
                f"the request {self} to {client.configuration.host} cannot be sent: its address or its credentials "
                "hold a character that no request may. They are not shown here"
            ) from None
        return response


class Unreachable(ApiUnavailable):
    """One attempt reached no server."""


class Garbled(ApiUnavailable):
    """One attempt was answered by something other than an API server, such as a proxy's page.

    Attributes:
      code: the HTTP status.
    """

    def __init__(self, host: str, what: str, text: str, code: int = 200) -> None:
        status = "" if code == 200 else f"with status {code} "
        said = web_page.words(text)
        told = f"a page that says {said!r}" if web_page.is_page(text) else repr(said)
        super().__init__(
            f"what answers {what} at {host} is no API server: {status}it sends {told}, not JSON. A proxy or a sign-in "
            "page may stand before it, or the kubeconfig names another server"
        )
        self.code = code


def text_of(data: bytes) -> str:
    """Decodes the bytes, whatever they are."""
    return data.decode("utf-8", errors="replace")


def _unreachable(host: str, what: str, error: Exception) -> ClusterError:
    # The client's own errors span several lines, and give a failed handshake in one of them.
    words = " ".join(_OBJECT.sub("", f"{type(error).__name__}: {error}").split())
    words = words.removeprefix("ApiException: (0) Reason: ")
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return ClusterError(
            f"the API server at {host} shows a certificate that is not signed by the authority that the kubeconfig or "
            f"service account names: {words}"
        )
    if _BAD_FILE.search(words):
        return ClusterError(
            "a certificate or a key of the kubeconfig or service account cannot be used: it is none, or the two do not "
            f"belong together: {words}. Look at certificate-authority, client-certificate and client-key (each also "
            "with -data)"
        )
    return Unreachable(f"the API server at {host} does not answer {what}: {words}")


def _api_error(host: str, error: Any, what: str) -> ApiError | Garbled:
    text = text_of(error.body) if isinstance(error.body, bytes) else str(error.body or "")
    if web_page.is_page(text):
        # A load balancer's page while the API server behind it is down or busy means what its status code means.
        if int(error.status) < 500 and int(error.status) != _TOO_MANY:
            return Garbled(host, what, text, int(error.status))
        text = web_page.words(text)
    try:
        status = json.loads(text)
    except ValueError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    headers = error.headers or {}
    try:
        retry_after: float | None = min(float(headers.get("Retry-After", "")), _LONGEST_RETRY_AFTER_SECONDS)
    except ValueError:
        retry_after = None
    message = str(status.get("message") or " ".join(text.split())[:_SHOWN])
    return ApiError(int(error.status), str(status.get("reason", "")), message, retry_after, what)
