"""uvicorn, with control over its connections: how many there are, and how long they stay open without a request."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The limit for a request's head; RFC 9112 recommends at least 8,000 bytes for the request line.
_MAX_HEAD_BYTES = 64 * 1024
_BACKLOG = 1024
# How many connections are accepted before the loop turns to the existing ones.
_ACCEPTS_AT_ONCE = 16
# How often connections are checked, and accepting is retried after a failure.
_SWEEP_SECONDS = 0.5
# The fraction of the connections that is closed when there are too many, so that choosing them does not take all time.
_ROOM_PARTS = 16
# A younger connection may be about to send its first request, however many others wait.
_SPARED_SECONDS = 1.0
# How often a persistent problem is logged.
_TELL_SECONDS = 60.0

# In a request's head only: what follows an empty line is left alone.
_UPGRADE = re.compile(rb"(\A(?:(?!\r?\n\r?\n).)*?\n)upgrade([ \t]*:)", re.IGNORECASE | re.DOTALL)

_log = logging.getLogger(__name__)


class Connection(HttpToolsProtocol):
    """A client's connection.

    Attributes:
        idle_since: when it last became idle, on the loop's clock.
        heard_at: when the client last sent anything.
        has_asked: whether it has ever had a request.
        on_lost: called when it is closed.
    """

    idle_since = 0.0
    heard_at = 0.0
    has_asked = False
    on_lost: Callable[[], None] = staticmethod(lambda: None)
    _head_bytes = 0
    _requests = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts out idle."""
        super().connection_made(transport)
        self.idle_since = self.heard_at = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Reports the end of the connection."""
        super().connection_lost(exc)
        self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Passes on what the client sends; rejects an endless head."""
        self.heard_at = self.loop.time()
        self._head_bytes += len(data)
        if self.is_idle:
            # The parser ends a request that offers an upgrade (h2c, as Java's client does) after its head. A server may
            # ignore the offer (RFC 9110, 7.8), and this one has no other protocol.
            data = _UPGRADE.sub(rb"\1x-offered-upgrade\2", data)
        super().data_received(data)
        if not self.is_idle:
            self._head_bytes = 0
        elif self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request's head has more than {_MAX_HEAD_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        """Begins a request."""
        self.has_asked = True
        self._requests += 1
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Ends a request."""
        self._requests -= 1
        self.idle_since = self.loop.time()
        super().on_response_complete()

    @property
    def is_idle(self) -> bool:
        """Whether it has no request in flight; a request counts once its head has arrived."""
        return self._requests == 0

    def waits_since(self) -> float:
        """Since when it has waited for its client: for a request, or for more of a body. Infinity if it is not."""
        if self.is_idle:
            return self.idle_since
        if self.cycle.more_body and not self.flow.read_paused:
            return self.heard_at
        return math.inf


class HttpServer(uvicorn.Server):
    """Serves HTTP on one socket.

    asyncio's own accept loop takes all connections there are, keeps them for ever if they send nothing, and logs
    thousands of lines a second when descriptors run out. Here the number of connections is bounded; one that waits for
    its client too long is closed, or earlier if there is no room for another.
    """

    def __init__(
        self, app: Any, listener: socket.socket, *, most: int, idle_seconds: float, grace_seconds: int
    ) -> None:
        """Opens nothing yet.

        Args:
            app: the ASGI application.
            listener: a bound socket. It must have been created with the protocol IPPROTO_TCP, because asyncio sends
                small packets at once (TCP_NODELAY) on such sockets only.
            most: how many connections there may be.
            idle_seconds: how long a connection may wait for its client.
            grace_seconds: how long requests in flight may take once the server is told to stop.
        """
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            proxy_headers=False,
            access_log=False,
            log_config=None,
            # Clients' errors are reported to the clients.
            log_level=logging.ERROR,
            timeout_keep_alive=math.ceil(idle_seconds),
            timeout_graceful_shutdown=grace_seconds,
        )
        super().__init__(config)
        self._listener = listener
        self._most = most
        self._idle_seconds = idle_seconds
        self._opening: set[asyncio.Task[None]] = set()
        self._accepting = False
        self._sweeper: asyncio.TimerHandle | None = None
        self._told: dict[str, float] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts accepting connections."""
        self._loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        self._listener.listen(_BACKLOG)
        await super().startup(sockets=[])
        self._resume()
        self._sweep()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting connections, and lets the requests in flight finish."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._pause()
        self._listener.close()
        await super().shutdown(sockets)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            if len(self.server_state.connections) + len(self._opening) >= self._most:
                self._tell(
                    "full", f"{self._most} connections are open, the most there may be; idle ones make room for others"
                )
                self._make_room()
                self._pause()
                return
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._tell("lack", f"Cannot accept a connection ({error.strerror}); trying again all the time")
                self._pause()
                return
            client.setblocking(False)
            task = self._loop.create_task(self._adopt(client))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _adopt(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._create_connection, client)
        except OSError:  # the client has reset it meanwhile
            client.close()

    def _create_connection(self) -> Connection:
        connection = Connection(self.config, self.server_state, {}, self._loop)
        connection.on_lost = self._resume
        return connection

    def _resume(self) -> None:
        if not self._accepting and self._listener.fileno() != -1:
            self._accepting = True
            self._loop.add_reader(self._listener, self._accept)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._listener)

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        longest = self._loop.time() - self._idle_seconds
        for connection in self._connections():
            if connection.waits_since() < longest:
                connection.transport.abort()
        self._resume()

    def _make_room(self) -> None:
        """Closes some idle connections: those that never had a request first, and of these the oldest."""
        spared = self._loop.time() - _SPARED_SECONDS
        idle = [each for each in self._connections() if each.is_idle and each.idle_since < spared]
        idle.sort(key=lambda each: (each.has_asked, each.idle_since))
        for connection in idle[: max(1, self._most // _ROOM_PARTS)]:
            connection.transport.abort()

    def _connections(self) -> list[Connection]:
        return [each for each in self.server_state.connections if isinstance(each, Connection)]

    def _tell(self, topic: str, words: str) -> None:
        now = self._loop.time()
        if now - self._told.get(topic, -math.inf) > _TELL_SECONDS:
            self._told[topic] = now
            _log.warning("%s", words)
