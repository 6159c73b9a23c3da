"""ML Metadata's gRPC service on this machine, for steps that find it as they would on a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import ml_metadata
from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

_SERVICE = metadata_store_service_pb2.DESCRIPTOR.services_by_name["MetadataStoreService"]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _handler(store: ml_metadata.MetadataStore, method: Any) -> grpc.RpcMethodHandler[Any, Any]:
    """Hands a call on to the store, as ml-metadata's own server in C++ does."""
    request, response = (
        getattr(metadata_store_service_pb2, kind.name) for kind in (method.input_type, method.output_type)
    )

    def call(message: Any, context: grpc.ServicerContext) -> Any:
        answer = response()
        try:
            store._call(method.name, message, answer)
        except errors.StatusError as error:
            context.abort(_CODES[error.error_code], str(error))
        return answer

    return grpc.unary_unary_rpc_method_handler(
        call, request_deserializer=request.FromString, response_serializer=response.SerializeToString
    )


@contextlib.contextmanager
def serving() -> Iterator[tuple[ml_metadata.MetadataStore, dict[str, str]]]:
    """A store in memory, and the environment in which a step of Kubeflow Pipelines finds it."""
    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    store = ml_metadata.MetadataStore(config)
    methods = {method.name: _handler(store, method) for method in _SERVICE.methods}
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE.full_name, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield store, {"METADATA_GRPC_SERVICE_HOST": "127.0.0.1", "METADATA_GRPC_SERVICE_PORT": str(port)}
    finally:
        server.stop(grace=None).wait()
