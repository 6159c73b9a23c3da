"""TensorFlow Serving's gRPC API: PredictionService and ModelService."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent import futures
from typing import Any, NoReturn, TypeVar

import grpc
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model_server.errors import ServingError, internal, invalid_argument
from model_server.serving import SIGNATURE_DEF, Serving, unsupported
from model_server.signature import DEFAULT_SIGNATURE, Array, DType

_THREADS = 16
# Without limits, as TensorFlow Serving. A port in use is an error, not shared with whoever holds it.
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)

_log = logging.getLogger(__name__)
T = TypeVar("T")


def create_server(serving: Serving) -> grpc.Server:
    """A server that has no port yet and is not started."""
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS, "grpc"), options=_OPTIONS)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_PredictionService(serving), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(serving), server)
    return server


def array_to_proto(array: Array, dtype: DType) -> Any:
    """A TensorProto with its values in the typed field, where TensorFlow Serving puts them.

    `tf.make_tensor_proto` packs them into `tensor_content`, which clients that read `float_val` would find empty.
    """
    proto = tensor_pb2.TensorProto(dtype=dtype.number)
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    getattr(proto, dtype.proto_field).extend(array.ravel().tolist())
    return proto


def proto_to_array(name: str, proto: Any) -> Array:
    """The array of a TensorProto; raises INVALID_ARGUMENT where its values do not fill its shape."""
    try:
        array: Array = tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise invalid_argument(f"Input {name} is not a well-formed TensorProto: {error}") from error
    return array


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _answer(context, lambda: _predict(self._serving, request))

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
    context.abort(error.code, error.message)


def _spec(request: Any) -> tuple[str, int | None]:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    if spec.version_label:
        raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
    return spec.name, spec.version.value if spec.HasField("version") else None


def _predict(serving: Serving, request: Any) -> Any:
    name, wanted = _spec(request)
    signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    with serving.lease(name, wanted) as (version, model):
        signature = model.signature(signature_name)
        if signature is None:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.'
            )
        inputs = {key: proto_to_array(key, request.inputs[key]) for key in request.inputs}
        outputs = model.predict(signature, inputs, request.output_filter)
    response = predict_pb2.PredictResponse()
    response.model_spec.name = name
    response.model_spec.signature_name = signature_name
    response.model_spec.version.value = version
    for key, array in outputs.items():
        response.outputs[key].CopyFrom(array_to_proto(array, signature.outputs[key].dtype))
    return response


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
