"""The gRPC API of a real server."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
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

from model_server.launch import RunningServer
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


def test_half_floats_go_in_and_out(prediction: Any) -> None:
    values = np.array([1.5, -2.0], np.float16)
    message = request("halves", half=values, bfloat16=tf.cast(values, tf.bfloat16).numpy())
    del message.inputs["half"].half_val[:]
    message.inputs["half"].tensor_content = b""
    message.inputs["half"].half_val.extend(values.view(np.uint16).tolist())
    answer = prediction.Predict(message, timeout=SECONDS)
    assert answer.outputs["half"].dtype == tf.float16.as_datatype_enum
    assert list(answer.outputs["half"].half_val) == (values * 2).view(np.uint16).tolist()
    assert tf.make_ndarray(answer.outputs["bfloat16"]).astype(np.float32).tolist() == [3.0, -4.0]


def test_a_tensor_that_is_not_well_formed_is_refused_in_words(prediction: Any) -> None:
    too_many = request("single", x=[1.0, 2.0])
    too_many.inputs["x"].tensor_content = b""
    too_many.inputs["x"].float_val.extend([1.0, 2.0, 3.0])
    negative = request("single", x=[1.0])
    negative.inputs["x"].tensor_shape.dim[0].size = -1
    vast = request("single", x=[1.0])
    vast.inputs["x"].tensor_content = b""
    vast.inputs["x"].float_val.append(1.0)
    vast.inputs["x"].tensor_shape.dim[0].size = 10**12
    for message, says in (
        (
            too_many,
            "tensor parsing error: x. Input x is not a well-formed TensorProto: 3 values do not fit into the shape",
        ),
        (negative, "its shape [-1] has a negative dimension"),
        (vast, "an array of shape [1000000000000] takes more than 104857600 bytes"),
    ):
        code, details = refusal(prediction.Predict, message)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert says in details


def test_bytes_that_are_no_message_are_refused_without_a_traceback(
    served: RunningServer, channel: grpc.Channel
) -> None:
    for method in ("PredictionService/Predict", "ModelService/GetModelStatus"):
        call = channel.unary_unary(f"/tensorflow.serving.{method}", bytes, bytes)
        code, details = refusal(call, b"\xff\xff\xff")
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith("The request is no ")
    assert "Traceback" not in served.log_file.read_text()


def test_a_message_that_names_what_is_long_still_arrives(prediction: Any) -> None:
    code, details = refusal(prediction.Predict, request("\N{SNOWMAN}" * 100_000))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert details.startswith('Serving signature key "\N{SNOWMAN}')


def test_values_that_fill_up_a_shape_count_against_the_limit(prediction: Any) -> None:
    one = tensor_pb2.TensorProto(dtype=7, string_val=[b"x" * 100_000])
    one.tensor_shape.dim.add().size = 1_500
    message = request(**{**trip(), "distance": np.ones((1_500, 1), np.float32)})
    message.inputs["station"].CopyFrom(one)
    code, words = refusal(prediction.Predict, message)
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "takes more than" in words


def test_a_large_request_lets_small_ones_through(prediction: Any) -> None:
    large = tensor_pb2.TensorProto(dtype=1, float_val=[1.5])
    large.tensor_shape.dim.add().size = 20_000_000
    message = request("single")
    message.inputs["x"].CopyFrom(large)
    calls = [prediction.Predict.future(message, timeout=100) for _ in range(2)]
    answered = 0
    while not all(call.done() for call in calls):
        prediction.Predict(request(**trip()), timeout=SECONDS)
        answered += 1
    assert answered > 1
    # Its answer is larger than a client takes, unless it says so.
    assert {call.code() for call in calls} == {grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_a_message_beyond_the_limit_is_refused(prediction: Any) -> None:
    code, _ = refusal(prediction.Predict, request("single", x=np.zeros(27 * 2**20, np.float32)))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
