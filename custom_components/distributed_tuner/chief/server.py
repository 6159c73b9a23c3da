"""Puts a chief on the network: its gRPC server, the token check, and errors as status codes."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from keras_tuner.src import protos

from custom_components.distributed_tuner.chief import refusals
from custom_components.distributed_tuner.chief.chief import Chief
from custom_components.distributed_tuner.chief.service import Handler
from custom_components.distributed_tuner.chief.stock_service import StockService
from custom_components.distributed_tuner.errors import SearchError, SearchLocked
from custom_components.distributed_tuner.host import children, descriptors, shortage
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import cause
from custom_components.distributed_tuner.rpc import protocol
from custom_components.distributed_tuner.rpc.credentials import ServerKey
from custom_components.distributed_tuner.storage.base import Fenced, StorageError
from custom_components.distributed_tuner.storage.search_dir import CHIEF, SearchDir

_LOG = logging.getLogger(__name__)

# TLS takes seconds on a busy machine.
_HANDSHAKE_SECONDS = 20.0
_IDLE_SECONDS = 60.0
_IDLE_HEARTBEATS = 4.0


async def run(
    chief: Chief,
    directory: SearchDir,
    *,
    token: str,
    host: str,
    port: int,
    fixed_port: bool = True,
    stock_workers: bool = False,
    server_key: ServerKey | None = None,
    called: Callable[[], None] | None = None,
) -> None:
    """Serves until SIGTERM, or until the search can no longer be stored.

    The arguments are those of `serve`, and the search's directory.

    Raises:
      SearchError: the address is not available, or the search cannot be stored.
      SearchLocked: another chief has taken over the search.
      StorageError: the search cannot be stored in its bucket.
      OSError: a temporary shortage prevented the search from being stored, see `shortage`.
    """
    server, bound = await serve(
        chief,
        token=token,
        host=host,
        port=port,
        fixed_port=fixed_port,
        stock_workers=stock_workers,
        server_key=server_key,
        called=called,
    )
    await chief.begin()
    address = json.dumps({"address": f"{host}:{bound}", "machine": socket.gethostname(), "pid": os.getpid()})
    directory.storage.write(CHIEF, address.encode())
    _LOG.info("serving on %s:%d", host, bound)
    if called is not None:
        called()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    # An oracle may fork.
    children.make_ordinary(lambda: signal.set_wakeup_fd(-1), signal.getsignal(signal.SIGTERM), [signal.SIGTERM])
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(chief.broken.wait())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await server.stop(grace=0.5)
    await chief.close()
    for task in waiting:
        task.cancel()
    if isinstance(chief.failure, Fenced):
        raise SearchLocked(str(chief.failure))
    if chief.failure is not None and (isinstance(chief.failure, StorageError) or shortage.passes(chief.failure)):
        raise chief.failure
    if isinstance(chief.failure, OSError):
        raise SearchError(
            f"the chief cannot store the search in {directory.url}: {chief.failure}. Make room or grant write access, "
            "then run the same run id again; finished trials are kept"
        )
    if chief.failure is not None:
        raise SearchError(
            f"the chief met an error of its own, {cause.of_error(chief.failure)}. Finished trials are "
            "kept: run the same run id again, and report what its log holds"
        ) from chief.failure


async def serve(
    chief: Chief,
    *,
    token: str,
    host: str,
    port: int,
    fixed_port: bool = True,
    stock_workers: bool = False,
    server_key: ServerKey | None = None,
    called: Callable[[], None] | None = None,
) -> tuple[grpc.aio.Server, int]:
    """Starts the server and the chief's watch.

    Args:
      chief: what is served.
      token: the bearer token that callers must show.
      host: the address to listen on.
      port: the port, 0 for any.
      fixed_port: whether it must be this port. Otherwise another one is used if this one is taken.
      stock_workers: whether to serve keras-tuner's own protocol too, which requires no token.
      server_key: for TLS, needed on a network; without it the connection is not encrypted.
      called: called when `run` begins to serve, and for each call with a valid token.

    Returns:
      (the server, the port it got).

    Raises:
      SearchError: the address is not available, or certificate and key do not match.
    """
    server = grpc.aio.server(options=(*protocol.SERVER_OPTIONS, *_connection_limits(chief.options)))
    server.add_generic_rpc_handlers((_Door(chief, token, called),))
    if stock_workers:
        protos.get_service_grpc().add_OracleServicer_to_server(StockService(chief), server)
    bound = _listen(server, host, port, server_key, fixed=fixed_port)
    await server.start()
    chief.start()
    return server, bound


def _connection_limits(options: SearchOptions) -> tuple[tuple[str, int], ...]:
    """Limits that keep any number of clients, even silent ones, from taking the descriptors that the chief needs.

    Connections beyond the limit are refused, and the clients retry. A connection is closed if its TLS or HTTP/2
    handshake takes too long, or if it has had no call for a while; never during an open call, such as an idle worker's
    long poll. Heartbeats count as calls.
    """
    idle = max(_IDLE_SECONDS, _IDLE_HEARTBEATS * options.heartbeat_seconds)
    return (
        ("grpc.max_allowed_incoming_connections", descriptors.connections()),
        ("grpc.server_handshake_timeout_ms", round(1000 * _HANDSHAKE_SECONDS)),
        ("grpc.max_connection_idle_ms", round(1000 * idle)),
    )


def _listen(server: grpc.aio.Server, host: str, port: int, server_key: ServerKey | None, *, fixed: bool) -> int:
    address = f"{host}:{port}"
    try:
        if server_key is None:
            return int(server.add_insecure_port(address))
        pair = (server_key.key, server_key.certificate)
        return int(server.add_secure_port(address, grpc.ssl_server_credentials([pair])))
    except RuntimeError as error:
        if not fixed and port != 0:
            _LOG.warning("port %d is somebody else's by now; taking another one", port)
            return _listen(server, host, 0, server_key, fixed=True)
        raise SearchError(f"the chief cannot listen on {address}: {error}") from error


class _Door(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # it takes none when the program runs
    """The chief's service, for callers that have the token.

    gRPC reads the whole message of a unary call before it runs the handler. A caller without the token is answered by a
    streaming handler instead, which reads no message at all. The caller sees no difference.
    """

    def __init__(self, chief: Chief, token: str, called: Callable[[], None] | None) -> None:
        self._bearer = protocol.bearer(token).encode()
        self._refused = grpc.stream_unary_rpc_method_handler(_refuse)
        self._methods = {
            f"/{protocol.SERVICE}/{method}": grpc.unary_unary_rpc_method_handler(
                _guarded(chief, handler, called), response_serializer=protocol.encode
            )
            for method, handler in chief.service.methods().items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """See `grpc.GenericRpcHandler`."""
        method = self._methods.get(handler_call_details.method)
        if method is None:
            return None
        shown = str(dict(handler_call_details.invocation_metadata or ()).get(protocol.TOKEN_KEY, ""))
        return method if hmac.compare_digest(shown.encode(errors="replace"), self._bearer) else self._refused


async def _refuse(requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "this search's bearer token is missing or wrong")


def _guarded(chief: Chief, handler: Handler, called: Callable[[], None] | None) -> Any:
    async def handle(data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> dict[str, Any]:
        if called is not None:
            called()
        if chief.failure is not None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the chief is going down: {chief.failure}")
        try:
            request = protocol.decode(data)
        except (ValueError, RecursionError) as error:
            # Decoded here, not by gRPC's deserializer, whose error would tell the caller nothing.
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the message is no JSON object: {error}")
        return await refusals.answer(chief, context, handler(request))

    return handle
