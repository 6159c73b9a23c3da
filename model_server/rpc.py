"""TensorFlow Serving's gRPC API: PredictionService and ModelService."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import symbol_database
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)

from model_server.errors import ServingError, busy, internal, invalid_argument
from model_server.serving import SIGNATURE_DEF, Serving, unsupported
from model_server.signature import DEFAULT_SIGNATURE
from model_server.tensors import array_to_proto, bytes_needed, proto_to_array

_THREADS = 16
# Larger requests are processed one at a time: only one is in memory as arrays and as Python objects.
_SMALL_BYTES = 256 * 1024
_TURN_SECONDS = 60.0
_MAX_DETAIL_BYTES = 2000
# A connecting client sends its HTTP/2 preface at once.
_MAX_HANDSHAKE_SECONDS = 10.0

_log = logging.getLogger(__name__)
_turns = threading.Semaphore(1)
T = TypeVar("T")


def create_server(
    serving: Serving, *, max_request_bytes: int, most_connections: int, idle_seconds: float
) -> grpc.Server:
    """Creates a server without a port, not yet started.

    Args:
        serving: what the server answers for.
        max_request_bytes: the largest message that it accepts.
        most_connections: how many connections there may be; more are refused.
        idle_seconds: how long a connection may stay open without a call.
    """
    handshake_seconds = min(idle_seconds, _MAX_HANDSHAKE_SECONDS)
    options = (
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_allowed_incoming_connections", most_connections),
        ("grpc.max_connection_idle_ms", int(idle_seconds * 1000)),
        ("grpc.server_handshake_timeout_ms", int(handshake_seconds * 1000)),
        # A port in use is an error; it is not shared with its owner.
        ("grpc.so_reuseport", 0),
    )
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS, "grpc"), options=options)
    services = (
        (prediction_service_pb2, _PredictionService(serving, max_request_bytes)),
        (model_service_pb2, _ModelService(serving)),
    )
    for module, servicer in services:
        (service,) = module.DESCRIPTOR.services_by_name.values()
        handlers = {method.name: _handler(method, getattr(servicer, method.name)) for method in service.methods}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
    return server


def _handler(method: Any, answer: Callable[[Any, grpc.ServicerContext], Any]) -> Any:
    """As in generated code, except for bytes that are not a valid message: gRPC would report those as a fault of the
    server, with a traceback in its log."""
    # The stubs are for a newer protobuf, which has renamed it.
    classes: Any = symbol_database.Default()
    request_class = classes.GetPrototype(method.input_type)
    response_class = classes.GetPrototype(method.output_type)

    def parse(data: bytes) -> Any:
        try:
            return request_class.FromString(data)
        except DecodeError as error:
            return invalid_argument(f"The request is no {method.input_type.name}: {error}")

    def behave(request: Any, context: grpc.ServicerContext) -> Any:
        if isinstance(request, ServingError):
            _abort(context, request)
        return answer(request, context)

    return grpc.unary_unary_rpc_method_handler(behave, parse, response_class.SerializeToString)


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, serving: Serving, max_array_bytes: int) -> None:
        self._serving = serving
        self._max_array_bytes = max_array_bytes

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _answer(context, lambda: _predict(self._serving, request, self._max_array_bytes))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _answer(context, lambda: _metadata(self._serving, request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        _abort(context, unsupported("Classify"))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        _abort(context, unsupported("Regress"))

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        _abort(context, unsupported("MultiInference"))


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _answer(context, lambda: self._serving.status(*_spec(request)))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        _abort(context, unsupported("HandleReloadConfigRequest"))


def _answer(context: grpc.ServicerContext, work: Callable[[], T]) -> T:
    try:
        return work()
    except ServingError as error:
        _abort(context, error)
    except Exception:
        _log.exception("A gRPC call failed")
        _abort(context, internal())


def _abort(context: grpc.ServicerContext, error: ServingError) -> NoReturn:
    # The message travels in a header, where a byte may take three, and which clients limit to 8 KB.
    message = error.message.encode(errors="replace")[:_MAX_DETAIL_BYTES].decode(errors="ignore")
    context.abort(error.code, message)


def _spec(request: Any) -> tuple[str, int | None]:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    if spec.version_label:
        raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
    return spec.name, spec.version.value if spec.HasField("version") else None


def _predict(serving: Serving, request: Any, max_array_bytes: int) -> Any:
    name, wanted = _spec(request)
    signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    with serving.lease(name, wanted) as (version, model):
        signature = model.signature(signature_name)
        if signature is None:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.'
            )
        sizes = [bytes_needed(proto) for proto in request.inputs.values()]
        needed = sum(sizes)
        if needed > max_array_bytes >= max(sizes, default=0):
            raise invalid_argument(
                f"The inputs take {needed} bytes of memory, and this server takes {max_array_bytes} "
                "(--max_request_bytes); values that fill up a shape count"
            )
        with _turn(needed):
            inputs = {
                key: proto_to_array(key, proto, max_bytes=max_array_bytes) for key, proto in request.inputs.items()
            }
            outputs = model.predict(signature, inputs, request.output_filter)
            response = predict_pb2.PredictResponse()
            response.model_spec.name = name
            response.model_spec.signature_name = signature_name
            response.model_spec.version.value = version
            for key, array in outputs.items():
                response.outputs[key].CopyFrom(array_to_proto(array, signature.outputs[key].dtype))
    return response


@contextlib.contextmanager
def _turn(size: int) -> Iterator[None]:
    """In this context no other large request is processed; small ones do not wait."""
    if size <= _SMALL_BYTES:
        yield
        return
    if not _turns.acquire(timeout=_TURN_SECONDS):
        raise busy(
            f"Another request of more than {_SMALL_BYTES} bytes has kept this one waiting for {_TURN_SECONDS:.0f} s. "
            "Send it again later, or fewer rows at a time"
        )
    try:
        yield
    finally:
        _turns.release()


def _metadata(serving: Serving, request: Any) -> Any:
    if not request.metadata_field:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            raise invalid_argument(f"Metadata field {field} is not supported")
    name, wanted = _spec(request)
    version, signatures = serving.metadata(name, wanted)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = name
    response.model_spec.version.value = version
    response.metadata[SIGNATURE_DEF].Pack(signatures)
    return response
