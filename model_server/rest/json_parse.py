"""Parses a body's bytes to a JSON document, with TensorFlow Serving's parser and error messages."""

from __future__ import annotations

import json
from typing import IO, Any, cast

import rapidjson

from model_server.errors import invalid_argument, too_large

# As TensorFlow Serving configures it: numbers are 64-bit integers or doubles, and NaN and Infinity are numbers.
_NUMBERS = rapidjson.NM_NATIVE | rapidjson.NM_NAN
_BOM = b"\xef\xbb\xbf"
# A larger body is parsed in parts of this size. Between two parts Python can switch threads; within one call it cannot,
# and the whole server would wait for the whole body.
_PART = 64 * 1024
# A list or an object takes up to 250 bytes of memory, even if it is two bytes of JSON.
MAX_CONTAINERS = 4_000_000
_MAX_SHOWN = 256


def parse(body: bytes | bytearray) -> Any:
    """The value in a body. If an object repeats a key, the first one counts.

    Raises:
        ServingError: INVALID_ARGUMENT, if it is not JSON in UTF-8; HTTP 413, if it has more than `MAX_CONTAINERS` lists
            and objects, or as many brackets within text.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    if (end := body.find(b"\0")) >= 0:
        # For RapidJSON a document ends there, whatever follows.
        raise invalid_argument(f"JSON Parse error: Invalid value. at offset: {end}")
    skipped = len(_BOM) if body.startswith(_BOM) else 0
    try:
        if len(body) <= _PART:
            return _DECODER(bytes(body[skipped:]))
        return _DECODER(cast(IO[bytes], _Parts(body, skipped)), chunk_size=_PART)
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: nested too deeply") from error
    except UnicodeDecodeError as error:
        raise invalid_argument("JSON Parse error: not UTF-8") from error
    except ValueError as error:
        raise invalid_argument(f"JSON Parse error: {_in_order(str(error), skipped)}") from error


def show(value: Any) -> str:
    """The beginning of a value's JSON, for a message."""
    if isinstance(value, str):
        value = value[: _MAX_SHOWN + 1]
    text = ""
    for piece in json.JSONEncoder().iterencode(value):
        text += piece
        if len(text) > _MAX_SHOWN:
            return text[:_MAX_SHOWN] + "..."
    return text


class _Decoder(rapidjson.Decoder):
    """Builds a dict for each object, in which the first of two equal keys wins; RapidJSON's own would keep the last."""

    def start_object(self) -> list[tuple[str, Any]]:
        return []

    def end_object(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(members)
        return document if len(document) == len(members) else dict(reversed(members))


_DECODER = _Decoder(number_mode=_NUMBERS)


class _Parts:
    """A body as a readable file; its `read` is Python code, which lets other threads run."""

    def __init__(self, body: bytes | bytearray, position: int) -> None:
        self._body = memoryview(body)
        self._position = position
        self._containers = 0

    def read(self, size: int) -> bytes:
        part = bytes(self._body[self._position : self._position + size])
        self._position += size
        self._containers += part.count(b"[") + part.count(b"{")
        if self._containers > MAX_CONTAINERS:
            raise too_large(f"The body has more than {MAX_CONTAINERS} lists and objects, the most this server takes")
        return part


def _in_order(words: str, skipped: int) -> str:
    """Puts RapidJSON's reason before its offset, as TensorFlow Serving does."""
    place, _, reason = words.partition(": ")
    offset = place.rpartition(" ")[2]
    return f"{reason} at offset: {int(offset) + skipped}" if offset.isdecimal() else words
