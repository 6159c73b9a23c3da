"""Calls to the chief, retried while it is unreachable."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import tenacity

from custom_components.distributed_tuner.errors import ChiefRefused, ChiefUnreachable
from custom_components.distributed_tuner.host import fork_gate
from custom_components.distributed_tuner.rpc import messages, protocol, schema
from custom_components.distributed_tuner.rpc.credentials import Access
from custom_components.distributed_tuner.rpc.schema import Answer, Request

_LOG = logging.getLogger(__name__)

_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})


class ChiefClient:
    """A connection to the chief of one search, shared by the threads of a process and kept open for the last call.

    Args:
      address: returns the chief's current `host:port`, None while unknown; called before each attempt, since a
        restarted chief may listen elsewhere.
      access: the search's bearer token, and the chief's CA certificate if they communicate over a network.
      patience_seconds: how long a call is retried while no chief answers.
    """

    def __init__(self, address: Callable[[], str | None], access: Access, patience_seconds: float) -> None:
        self._find = address
        self._access = access
        self._metadata = ((protocol.TOKEN_KEY, protocol.bearer(access.token)),)
        self._patience = patience_seconds
        self._lock = threading.Lock()
        self._address: str | None = None
        self._channel: grpc.Channel | None = None

    def ask(self, request: Request[Answer], *, timeout: float = 20.0, patience_seconds: float | None = None) -> Answer:
        """Sends the chief a request; see `messages`.

        Args:
          request: the request.
          timeout: seconds for one attempt.
          patience_seconds: seconds over all attempts; the client's own if left out.

        Returns:
          The chief's answer.

        Raises:
          ChiefUnreachable: no chief answered in time.
          ChiefRefused: the chief rejected the call, or its answer cannot be parsed.
        """
        method = request.method()
        answer = self.call(method, schema.to_json(request), timeout=timeout, patience_seconds=patience_seconds)
        try:
            return schema.parse(request.answered_by(), answer)
        except schema.InvalidMessage as error:
            raise ChiefRefused(
                f"the chief's answer to {method} is not known here, as if it were of another version of this program: "
                f"{error}"
            ) from error

    def call(
        self, method: str, message: Mapping[str, Any], *, timeout: float = 20.0, patience_seconds: float | None = None
    ) -> dict[str, Any]:
        """As `ask`, but with plain JSON as request and answer.

        Args:
          method: the method's name.
          message: JSON-able.
          timeout: seconds for one attempt.
          patience_seconds: seconds over all attempts; the client's own if left out.

        Returns:
          The chief's answer.

        Raises:
          ChiefUnreachable: no chief answered in time.
          ChiefRefused: the chief rejected the call.
        """
        patience = self._patience if patience_seconds is None else patience_seconds
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Away),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
            stop=tenacity.stop_after_delay(patience),
            before_sleep=functools.partial(_tell, method),
            reraise=True,
        )
        began = time.monotonic()
        try:
            answer: dict[str, Any] = retrying(self._attempt, method, message, timeout)
            if retrying.statistics["attempt_number"] > 1:
                _LOG.info("%s: the chief has answered, after %.1f s", method, time.monotonic() - began)
            return answer
        except _Away as error:
            raise ChiefUnreachable(
                f"no chief answered {method} for {time.monotonic() - began:.0f} s (patience {patience:g} s) at "
                f"{self._address or 'an address not yet known'}: {error}. See the chief's log in the search directory."
            ) from error

    def best(self, count: int) -> list[dict[str, Any]]:
        """The best completed trials as keras-tuner stores them, best first, in as many calls as they need.

        Raises:
          ChiefUnreachable: no chief answered in time.
          ChiefRefused: the chief rejected a call.
        """
        answer = self.ask(messages.Best(count), timeout=60.0)
        trials = list(answer.trials)
        while answer.left:
            answer = self.ask(messages.Best(ids=answer.left), timeout=60.0)
            trials.extend(answer.trials)
        return trials

    def close(self) -> None:
        """Ends the connection."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None

    def _attempt(self, method: str, message: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        channel = self._connect()
        call = channel.unary_unary(
            f"/{protocol.SERVICE}/{method}", request_serializer=protocol.encode, response_deserializer=protocol.decode
        )
        try:
            with fork_gate.GATE.call():
                answer: dict[str, Any] = call(message, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            # A connection that a router or firewall has dropped stays silent for ever.
            lost = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED or _spoilt(error)
            if lost:
                self._drop(channel)
            if lost or error.code() in _AWAY:
                raise _Away(f"{error.code().name}: {error.details()}") from error
            raise ChiefRefused(f"the chief refused {method}: {error.code().name}: {error.details()}") from error
        except ValueError as error:
            # What gRPC raises for a channel that another thread has closed meanwhile.
            raise _Away(str(error)) from error
        return answer

    def _connect(self) -> grpc.Channel:
        try:
            address = self._find()
        except OSError as error:
            # While the file cannot be read, the last known address is used.
            _LOG.debug("the chief's address cannot be read: %s", error)
            address = None
        with self._lock:
            if self._channel is None or (address is not None and address != self._address):
                if address is None:
                    raise _Away("the chief has not said yet where it listens")
                if self._channel is not None:
                    self._channel.close()
                self._address = address
                self._channel = self._open(address)
            return self._channel

    def _drop(self, channel: grpc.Channel) -> None:
        with self._lock:
            if self._channel is channel:
                channel.close()
                self._channel = None

    def _open(self, address: str) -> grpc.Channel:
        if self._access.authority is None:
            return grpc.insecure_channel(address, options=protocol.CHANNEL_OPTIONS)
        trusted = grpc.ssl_channel_credentials(root_certificates=self._access.authority)
        return grpc.secure_channel(address, trusted, options=protocol.CHANNEL_OPTIONS)


def _tell(method: str, state: tenacity.RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        _LOG.info("%s: no answer, trying again: %s", method, state.outcome.exception())


def _spoilt(error: grpc.RpcError) -> bool:
    """Whether the connection was corrupted, by a proxy or by a child process with the same socket.

    No chief answers with this code, but gRPC itself uses it for serialization errors, with a text of its own.
    """
    return error.code() is grpc.StatusCode.INTERNAL and not str(error.details()).startswith("Exception ")


class _Away(Exception):
    """One attempt reached no chief."""
