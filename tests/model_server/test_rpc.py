"""The gRPC API of a real server."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from model_server.rpc import array_to_proto, proto_to_array
from model_server.signature import dtype_of
from tests.model_server.helpers import seconds_for

SECONDS = 30


def request(signature: str = "", name: str = "bikes", version: int | None = None, **inputs: Any) -> Any:
    message = predict_pb2.PredictRequest()
    message.model_spec.name = name
    message.model_spec.signature_name = signature
    if version is not None:
        message.model_spec.version.value = version
    for key, value in inputs.items():
        message.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return message


def trip() -> dict[str, Any]:
    return {
        "distance": np.array([[1.5]], np.float32),
        "hour": np.array([8], np.int64),
        "station": np.array([b"Kew"]),
        "rain": np.array([True]),
    }


def refusal(call: Any, message: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as error_info:
        call(message, timeout=SECONDS)
    return error_info.value.code(), error_info.value.details() or ""


@pytest.fixture
def prediction(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture
def model_service(channel: grpc.Channel) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(channel)


def test_predict_answers_with_the_signature_the_version_and_typed_values(prediction: Any) -> None:
    answer = prediction.Predict(request(version=7, **trip()), timeout=SECONDS)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("bikes", 7)
    assert answer.model_spec.signature_name == "serving_default"
    seconds = answer.outputs["seconds"]
    assert list(seconds.float_val) == [seconds_for(2, 1.5, 8, "Kew", True)]
    assert tf.make_ndarray(seconds).shape == (1, 1)


def test_outputs_can_be_filtered(prediction: Any) -> None:
    message = request("detailed", **trip())
    message.output_filter.append("label")
    answer = prediction.Predict(message, timeout=SECONDS)
    assert answer.outputs.keys() == {"label"}
    assert list(answer.outputs["label"].string_val) == [b"to Kew"]


def test_an_output_without_a_batch_is_a_scalar(prediction: Any) -> None:
    answer = prediction.Predict(request("total", x=np.array([1, 2], np.float32)), timeout=SECONDS)
    assert tf.make_ndarray(answer.outputs["sum"]).shape == ()


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        (predict_pb2.PredictRequest(), grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
        (request(name="other"), grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(other)"),
        (request(version=1), grpc.StatusCode.NOT_FOUND, "Servable not found for request: Specific(bikes, 1)"),
        (request("x"), grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "x" not found.'),
        (request(hour=[8]), grpc.StatusCode.INVALID_ARGUMENT, "Missing but required: {distance,rain,station}."),
        (request("single", x=[1]), grpc.StatusCode.INVALID_ARGUMENT, "Input x is of type int32"),
        (request("single", x=1.0), grpc.StatusCode.INVALID_ARGUMENT, "Input x has shape []"),
        (request("single", y=1.0), grpc.StatusCode.INVALID_ARGUMENT, "input tensor alias not found in signature: y"),
    ],
)
def test_a_wrong_predict_request_is_refused(prediction: Any, message: Any, code: grpc.StatusCode, says: str) -> None:
    given_code, details = refusal(prediction.Predict, message)
    assert given_code == code
    assert says in details


def test_a_tensor_whose_values_do_not_fill_its_shape_is_refused(prediction: Any) -> None:
    message = request("single", x=[1.0])
    message.inputs["x"].tensor_content = b"123"
    code, details = refusal(prediction.Predict, message)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "Input x is not a well-formed TensorProto" in details


def test_an_unknown_or_doubled_output_filter_is_refused(prediction: Any) -> None:
    for names, says in ((["z"], "output tensor alias not found"), (["y", "y"], "duplicate output tensor alias: y")):
        message = request("single", x=[1.0])
        message.output_filter.extend(names)
        code, details = refusal(prediction.Predict, message)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert says in details


def test_metadata_holds_the_signatures(prediction: Any) -> None:
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    message.model_spec.name = "bikes"
    answer = prediction.GetModelMetadata(message, timeout=SECONDS)
    assert answer.model_spec.version.value == 7
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def["serving_default"].inputs) == {"distance", "hour", "station", "rain"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [([], "must specify at least one metadata_field"), (["x"], "Metadata field x is not supported")],
)
def test_metadata_of_another_kind_is_refused(prediction: Any, fields: list[str], says: str) -> None:
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    message.model_spec.name = "bikes"
    code, details = refusal(prediction.GetModelMetadata, message)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert says in details


def test_the_status_names_the_version_served(model_service: Any) -> None:
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = "bikes"
    (entry,) = model_service.GetModelStatus(message, timeout=SECONDS).model_version_status
    assert (entry.version, entry.state) == (7, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    message.model_spec.name = "other"
    assert refusal(model_service.GetModelStatus, message)[0] == grpc.StatusCode.NOT_FOUND


def test_what_the_server_does_not_do_it_says(prediction: Any, model_service: Any) -> None:
    calls = (
        (prediction.Classify, classification_pb2.ClassificationRequest()),
        (prediction.Regress, regression_pb2.RegressionRequest()),
        (prediction.MultiInference, inference_pb2.MultiInferenceRequest()),
        (model_service.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    )
    for call, message in calls:
        code, details = refusal(call, message)
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert "is not part of this development server" in details


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 9, 10, 22, 23])
def test_every_type_survives_the_way_through_a_proto(number: int) -> None:
    dtype = dtype_of(number)
    array = np.array([[b"a", b""]], object) if dtype.name == "string" else np.array([[1, 0]], dtype.numpy)
    back = proto_to_array("x", array_to_proto(array, dtype))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
