"""TensorFlow Serving's REST API: https://www.tensorflow.org/tfx/serving/api_rest."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

from google.protobuf import json_format
from tensorflow_serving.apis import model_pb2

from model_server.errors import ServingError, busy, internal, invalid_argument, not_found
from model_server.rest import json_request, json_response, json_values
from model_server.rest.http_body import Body, Disconnected, Receive
from model_server.serving import SIGNATURE_DEF, Serving, unsupported
from model_server.version_dirs import parse_version

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(_MODEL + r":(?P<verb>classify|regress|predict)", re.IGNORECASE | re.ASCII)
_GET = re.compile(_MODEL + r"(?:/(?P<verb>metadata))?", re.IGNORECASE | re.ASCII)
_NO_MODEL = re.compile(r"/v1/models(?:/metadata)?", re.IGNORECASE)
# Few: with more threads than processors, small predictions wait for the GIL longer than they take.
_THREADS = min(16, max(4, os.cpu_count() or 1))
# Larger bodies are processed one at a time: only one is in memory as the Python objects that it is parsed to, which are
# many times larger.
_SMALL_BYTES = 256 * 1024
# At most this many of them may be arriving, or waiting as they were sent.
_UPLOADS = 8
_TURN_SECONDS = 60.0
_MAX_SHOWN = 256

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
T = TypeVar("T")

# The stubs are for a newer protobuf, which has renamed `including_default_value_fields`.
_to_dict: Callable[..., dict[str, Any]] = json_format.MessageToDict

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What a URL addresses.

    Attributes:
        verb: predict, classify, regress, metadata or status.
        name: the model's.
        version: the requested version; None for the one served.
    """

    verb: str
    name: str
    version: int | None


def parse_target(method: str, path: str) -> Target:
    """Parses a method and a path as it appears in the URL.

    Raises:
        ServingError: NOT_FOUND outside /v1/, INVALID_ARGUMENT for anything there that the API does not have.
    """
    if not path.lower().startswith("/v1/"):
        raise not_found(f"Not Found: {path[:_MAX_SHOWN]}. The API is under /v1/models/NAME")
    pattern = {"GET": _GET, "POST": _POST}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        if method == "GET" and _NO_MODEL.fullmatch(path):
            raise invalid_argument("Missing model name in request.")
        raise invalid_argument(f"Malformed request: {method} {path[:_MAX_SHOWN]}")
    if match["label"]:
        raise invalid_argument(f"Unrecognized servable version label: {unquote(match['label'])[:_MAX_SHOWN]}")
    version = parse_version(match["version"]) if match["version"] else None
    if match["version"] and version is None:
        raise invalid_argument(f"Failed to convert version: {match['version'][:_MAX_SHOWN]} to numeric.")
    return Target((match["verb"] or "status").lower(), unquote(match["name"]), version)


class RestApi:
    """The ASGI application. Slow work runs in threads, so that the event loop goes on serving others."""

    def __init__(self, serving: Serving, *, max_request_bytes: int) -> None:
        """Answers for `serving`; a body of more than `max_request_bytes`, as sent or decompressed, is rejected."""
        self._serving = serving
        self._max_bytes = max_request_bytes
        self._threads = ThreadPoolExecutor(_THREADS, "rest")
        self._uploads = asyncio.Semaphore(_UPLOADS)
        self._turns = asyncio.Semaphore(1)
        self._at_work: set[int] = set()

    @property
    def in_use(self) -> int:
        """How many threads are busy."""
        return len(self._at_work)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        body = Body(scope["headers"], receive, self._max_bytes)
        method = scope["method"]
        path = scope["raw_path"].decode("latin-1")
        try:
            status, answer = await self._answer(method, path, body)
            await body.discard()
        except Disconnected:
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        if not body.all_read:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, method: str, path: str, body: Body) -> tuple[int, bytes]:
        try:
            return 200, await self._respond(parse_target(method, path), body)
        except ServingError as error:
            refusal = error
        except Disconnected:
            raise
        except Exception:
            _log.exception("%s %s failed", method, path[:_MAX_SHOWN])
            refusal = internal()
        return refusal.http_status, json_response.render_error(refusal)

    async def _respond(self, target: Target, body: Body) -> bytes:
        if target.verb == "status":
            # Not in a thread: a health check must be answered even if all of them are busy.
            return _status(self._serving, target)
        if target.verb == "metadata":
            return await self._in_thread(lambda: _metadata(self._serving, target))
        if target.verb != "predict":
            raise unsupported(target.verb.capitalize())
        if await body.read_up_to(_SMALL_BYTES) and (
            not body.is_packed or await self._in_thread(lambda: body.unpack_up_to(_SMALL_BYTES))
        ):
            return await self._in_thread(lambda: _predict(self._serving, target, body))
        async with self._turn(self._uploads):
            # Not within the turn: a slow client would hold up those whose body has arrived.
            await body.read()
        async with self._turn(self._turns):
            if body.is_packed:
                await self._in_thread(body.unpack)
            return await self._in_thread(lambda: _predict_much(self._serving, target, body))

    @asynccontextmanager
    async def _turn(self, turns: asyncio.Semaphore) -> AsyncIterator[None]:
        try:
            await asyncio.wait_for(turns.acquire(), _TURN_SECONDS)
        except asyncio.TimeoutError:
            raise busy(
                f"Other bodies of more than {_SMALL_BYTES} bytes have kept this one waiting for {_TURN_SECONDS:.0f} s. "
                "Send it again later, or fewer rows at a time"
            ) from None
        try:
            yield
        finally:
            turns.release()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._do, work)

    def _do(self, work: Callable[[], T]) -> T:
        thread = threading.get_ident()
        self._at_work.add(thread)
        try:
            return work()
        finally:
            self._at_work.discard(thread)


def _predict(serving: Serving, target: Target, body: Body) -> bytes:
    request = json_request.parse(body.take())
    with serving.lease(target.name, target.version) as (_, model):
        signature = model.signature(request.signature_name)
        if signature is None:
            raise invalid_argument(
                f'Serving signature name: "{request.signature_name[:_MAX_SHOWN]}" not found in signature def'
            )
        try:
            form, inputs = json_request.read_inputs(request, signature)
        finally:
            json_values.release(request.document)
        outputs = model.predict(signature, inputs)
    return json_response.render(outputs, form).encode()


def _predict_much(serving: Serving, target: Target, body: Body) -> bytes:
    # The millions of lists and objects of a large body have no cycles, and a garbage collection would stop all threads
    # for seconds to find that out.
    gc.disable()
    try:
        return _predict(serving, target, body)
    finally:
        gc.enable()


def _status(serving: Serving, target: Target) -> bytes:
    response = serving.status(target.name, target.version)
    return _to_json(_to_dict(response, including_default_value_fields=True))


def _metadata(serving: Serving, target: Target) -> bytes:
    version, signatures = serving.metadata(target.name, target.version)
    spec = model_pb2.ModelSpec(name=target.name)
    spec.version.value = version
    options = {"including_default_value_fields": True, "preserving_proto_field_name": True}
    return _to_json(
        {
            "model_spec": _to_dict(spec, **options),
            "metadata": {SIGNATURE_DEF: _to_dict(signatures, **options)},
        }
    )


def _to_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode()
