"""TensorFlow Serving's REST API: https://www.tensorflow.org/tfx/serving/api_rest."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tensorflow_serving.apis import model_pb2

from model_server import json_request, json_response
from model_server.errors import ServingError, internal, invalid_argument, not_found
from model_server.serving import SIGNATURE_DEF, Serving, unsupported

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(_MODEL + r":(?P<verb>classify|regress|predict)", re.IGNORECASE | re.ASCII)
_GET = re.compile(_MODEL + r"(?:/(?P<verb>metadata))?", re.IGNORECASE | re.ASCII)
_NO_MODEL = re.compile(r"/v1/models(?:/metadata)?", re.IGNORECASE)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_MAX_VERSION = 2**63 - 1

# The stubs are those of a newer protobuf, which has renamed `including_default_value_fields`.
_to_dict: Callable[..., dict[str, Any]] = json_format.MessageToDict

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What a URL asks for.

    Attributes:
        verb: predict, classify, regress, metadata or status.
        name: the model's.
        version: the one asked for; None for the one served.
    """

    verb: str
    name: str
    version: int | None


def parse_target(method: str, path: str) -> Target:
    """Reads a method and an unquoted path.

    Raises:
        ServingError: NOT_FOUND outside /v1/, INVALID_ARGUMENT for anything there that the API does not have.
    """
    if not path.lower().startswith("/v1/"):
        raise not_found(f"Not Found: {path}. The API is under /v1/models/NAME")
    pattern = {"GET": _GET, "POST": _POST}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        if method == "GET" and _NO_MODEL.fullmatch(path):
            raise invalid_argument("Missing model name in request.")
        raise invalid_argument(f"Malformed request: {method} {path}")
    if match["label"]:
        raise invalid_argument(f"Unrecognized servable version label: {match['label']}")
    version = int(match["version"]) if match["version"] else None
    if version is not None and version > _MAX_VERSION:
        raise invalid_argument(f"Failed to convert version: {version} to numeric.")
    return Target((match["verb"] or "status").lower(), match["name"], version)


def create_app(serving: Serving) -> Starlette:
    """The application; a prediction runs in a thread, so that the event loop goes on serving others."""

    async def endpoint(request: Request) -> Response:
        try:
            target = parse_target(request.method, request.scope["path"])
            content = await run_in_threadpool(_answer, serving, target, await request.body())
            return Response(content, media_type="application/json")
        except ServingError as error:
            return Response(json_response.render_error(error), error.http_status, media_type="application/json")
        except Exception:
            _log.exception("%s %s failed", request.method, request.scope["path"])
            content = json_response.render_error(internal())
            return Response(content, internal().http_status, media_type="application/json")

    return Starlette(routes=[Route("/{path:path}", endpoint, methods=_METHODS)])


def _answer(serving: Serving, target: Target, body: bytes) -> str:
    if target.verb == "predict":
        return _predict(serving, target, body)
    if target.verb == "status":
        response = serving.status(target.name, target.version)
        return json.dumps(_to_dict(response, including_default_value_fields=True), indent=1)
    if target.verb == "metadata":
        return _metadata(serving, target)
    raise unsupported(target.verb.capitalize())


def _predict(serving: Serving, target: Target, body: bytes) -> str:
    request = json_request.parse(body)
    with serving.lease(target.name, target.version) as (_, model):
        signature = model.signature(request.signature_name)
        if signature is None:
            raise invalid_argument(f'Serving signature name: "{request.signature_name}" not found in signature def')
        form, inputs = json_request.read_inputs(request, signature)
        return json_response.render(model.predict(signature, inputs), form)


def _metadata(serving: Serving, target: Target) -> str:
    version, signatures = serving.metadata(target.name, target.version)
    spec = model_pb2.ModelSpec(name=target.name)
    spec.version.value = version
    options = {"including_default_value_fields": True, "preserving_proto_field_name": True}
    return json.dumps(
        {
            "model_spec": _to_dict(spec, **options),
            "metadata": {SIGNATURE_DEF: _to_dict(signatures, **options)},
        },
        indent=1,
    )
