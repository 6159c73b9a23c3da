"""The body of an HTTP request: read and decompressed within one limit."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import grpc

from model_server.errors import ServingError, invalid_argument, too_large

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# How long a large body may take to arrive.
_ARRIVAL_SECONDS = 60.0
# How long to read a body that is no longer needed: a client that cannot send all of it may never see the answer.
_DISCARD_SECONDS = 10.0
# zlib's name for a gzip header and trailer.
_GZIP = 16 + zlib.MAX_WBITS
_PACKED_PIECE = 64 * 1024
_UNPACKED_PIECE = 1024 * 1024


class Disconnected(Exception):
    """The client disconnected before it had sent its whole request."""


class Body:
    """What a client sends after its headers."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive, limit: int) -> None:
        """Reads nothing yet.

        Args:
            headers: those of the request, names in lower case, as accepted by the HTTP parser.
            receive: ASGI's.
            limit: how many bytes it may have, both as sent and decompressed.
        """
        fields = dict(headers)
        self._receive = receive
        self._limit = limit
        self._length = int(fields.get(b"content-length", b"0"))
        self._more = self._length > 0 or b"transfer-encoding" in fields
        self._waits_for_leave = b"expect" in fields
        self._encoding = fields.get(b"content-encoding", b"identity").strip().lower()
        self._data = bytearray()

    @property
    def all_read(self) -> bool:
        """Whether the client has nothing more to send."""
        return not self._more

    @property
    def is_packed(self) -> bool:
        """Whether the body is still compressed."""
        return b"gzip" in self._encoding

    async def read_up_to(self, size: int) -> bool:
        """Reads on until the body is complete, or has more than `size` bytes; returns whether it is complete.

        Raises:
            ServingError: the body exceeds the limit (HTTP 413), or has an encoding other than gzip.
            Disconnected: the client is gone.
        """
        if not self.is_packed and self._encoding not in (b"", b"identity"):
            shown = self._encoding[:80].decode("latin-1")
            raise invalid_argument(f"Content-Encoding {shown} is not known here; send gzip, or the body as it is")
        if self._length > self._limit:
            raise self._too_large(f"{self._length} bytes")
        while self._more and len(self._data) <= size:
            self._data += await self._read_part()
            if len(self._data) > self._limit:
                raise self._too_large(f"more than {self._limit} bytes")
        return not self._more

    async def read(self) -> None:
        """Reads the whole body.

        Raises:
            ServingError: as `read_up_to`, or the body took too long to arrive (HTTP 408).
            Disconnected: the client is gone.
        """
        try:
            await asyncio.wait_for(self.read_up_to(self._limit), _ARRIVAL_SECONDS)
        except asyncio.TimeoutError:
            message = f"The body had not arrived after {_ARRIVAL_SECONDS:.0f} s"
            raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, message, http_status=408) from None

    async def discard(self) -> None:
        """Reads and discards the rest for a while, unless the client waits for 100 Continue.

        Raises:
            Disconnected: the client is gone.
        """
        self._data = bytearray()
        if self._more and not self._waits_for_leave:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._read_to_no_purpose(), _DISCARD_SECONDS)

    def unpack_up_to(self, size: int) -> bool:
        """Decompresses what has been read, unless that gives more than `size` bytes; returns whether it did.

        Raises:
            ServingError: INVALID_ARGUMENT, if the gzip is damaged.
        """
        unpacked = _gunzip(self._data, size)
        if unpacked is None:
            return False
        self._data = unpacked
        self._encoding = b"identity"
        return True

    def unpack(self) -> None:
        """Decompresses what has been read.

        Raises:
            ServingError: as `unpack_up_to`, or the result exceeds the limit (HTTP 413).
        """
        if not self.unpack_up_to(self._limit):
            raise self._too_large(f"more than {self._limit} bytes unpacked")

    def take(self) -> bytearray:
        """Hands over the bytes and forgets them, so that a large body is freed as soon as it is parsed."""
        data, self._data = self._data, bytearray()
        return data

    def _too_large(self, size: str) -> ServingError:
        return too_large(f"The body has {size}, and this server takes {self._limit} (--max_request_bytes)")

    async def _read_part(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            raise Disconnected
        # The first part, too, ends the wait for 100 Continue.
        self._waits_for_leave = False
        self._more = message["more_body"]
        part: bytes = message["body"]
        return part

    async def _read_to_no_purpose(self) -> None:
        while self._more:
            await self._read_part()


def _gunzip(packed: bytearray, at_most: int) -> bytearray | None:
    """The decompressed content; None if it has more than `at_most` bytes."""
    unpacked = bytearray()
    stream = zlib.decompressobj(_GZIP)
    position = 0
    while not stream.eof:
        piece = bytes(packed[position : position + _PACKED_PIECE])
        try:
            part = stream.decompress(piece, _UNPACKED_PIECE)
        except zlib.error as error:
            raise invalid_argument(f"The body is not the gzip that its Content-Encoding says: {error}") from error
        unpacked += part
        if len(unpacked) > at_most:
            return None
        if not piece and not part:
            raise invalid_argument("The body ends in the middle of its gzip")
        position += len(piece) - len(stream.unconsumed_tail) - len(stream.unused_data)
    if position < len(packed):
        raise invalid_argument("The body goes on after the end of its gzip")
    return unpacked
