"""What the server answers, before either protocol encodes it: the model's name, its versions, a prediction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from model_server.errors import ServingError, not_found, unimplemented
from model_server.model import Model
from model_server.versions import Versions

SIGNATURE_DEF = "signature_def"


class Serving:
    """One named model, as both protocols see it."""

    def __init__(self, model_name: str, versions: Versions[Model]) -> None:
        """Answers for `model_name` and no other."""
        self._name = model_name
        self._versions = versions

    @contextmanager
    def lease(self, model_name: str, version: int | None) -> Iterator[tuple[int, Model]]:
        """Leases the model; raises NOT_FOUND for another name or version."""
        if model_name != self._name:
            asked = f"Latest({model_name})" if version is None else f"Specific({model_name}, {version})"
            raise not_found(f"Servable not found for request: {asked}{self._which()}")
        with self._versions.lease(version) as lent:
            yield lent

    def status(self, model_name: str, version: int | None) -> Any:
        """A GetModelStatusResponse; raises NOT_FOUND for another name or version."""
        if model_name != self._name:
            what = "any versions" if version is None else f"version {version}"
            raise not_found(f"Could not find {what} of model {model_name}{self._which()}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for state in self._versions.states(version):
            entry = response.model_version_status.add()
            entry.version = state.version
            entry.state = get_model_status_pb2.ModelVersionStatus.State.Value(state.state)
            if state.error:
                entry.status.error_code = grpc.StatusCode.FAILED_PRECONDITION.value[0]
                entry.status.error_message = state.error
            else:
                entry.status.error_code = grpc.StatusCode.OK.value[0]
        return response

    def metadata(self, model_name: str, version: int | None) -> tuple[int, Any]:
        """The version served and its SignatureDefMap; raises NOT_FOUND for another name or version."""
        with self.lease(model_name, version) as (served, model):
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, definition in model.signature_defs.items():
                signatures.signature_def[name].CopyFrom(definition)
            return served, signatures

    def _which(self) -> str:
        return f". This server has only the model {self._name}"


def unsupported(api: str) -> ServingError:
    """The answer to a call that TensorFlow Serving supports and this server does not."""
    return unimplemented(f"{api} is not part of this development server; use Predict, which takes any signature")
