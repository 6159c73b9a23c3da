"""A network that misbehaves: a TCP proxy that holds, delays and resets what passes through it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType

_CHUNK_BYTES = 1 << 16
# Closing with no time to linger sends a reset.
_NO_LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on this machine and passes everything on, until told otherwise.

    Args:
      upstream: `host:port` to pass to, asked for each connection; None refuses it.
      seed: of the delays.
    """

    def __init__(self, upstream: Callable[[], str | None], seed: int) -> None:
        self._upstream = upstream
        self._random = random.Random(seed)
        self._delay_seconds = (0.0, 0.0)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._pass, "127.0.0.1", 0), self._loop
        ).result(10.0)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._server.close)
        self.reset()
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result(10.0)
        self._call(self._loop.stop)
        self._thread.join(10.0)

    def delay(self, seconds: float, least: float = 0.0) -> None:
        """From now on each piece of data waits up to so long, and at least `least`, in each direction."""
        self._delay_seconds = (least, seconds)

    def hold(self) -> None:
        """From now on nothing passes; what comes waits for `release`, as in a network that lost its way."""
        self._call(self._open.clear)

    def release(self) -> None:
        """What was held goes on, late as it is."""
        self._call(self._open.set)

    def forget(self) -> None:
        """Nothing more passes on the connections that there are, and nobody is told; new ones are as they should be."""
        self._call(self._forget_all)

    def reset(self) -> None:
        """Breaks all connections, and what is in them is lost."""
        self._call(self._break_all)

    def _call(self, function: Callable[[], object]) -> None:
        done = threading.Event()

        def call() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(call)
        done.wait(10.0)

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget_all(self) -> None:
        self._open.clear()
        self._open = asyncio.Event()
        self._open.set()

    def _break_all(self) -> None:
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()
        self._writers.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = self._upstream()
        try:
            if address is None:
                return
            host, port = address.rsplit(":", 1)
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._writers |= both
        passing = self._open
        pumps = [
            asyncio.ensure_future(self._pump(reader, far_writer, passing)),
            asyncio.ensure_future(self._pump(far_reader, writer, passing)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        self._writers -= both
        for side in both:
            side.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await passing.wait()
                if self._delay_seconds[1]:
                    await asyncio.sleep(self._random.uniform(*self._delay_seconds))
                writer.write(data)
                await writer.drain()
