"""Requests that nobody would send on purpose: each is answered, none with a fault of the server, and it goes on."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import Any

import grpc
import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from model_server.launch import RunningServer

CLIENT = httpx.Client(timeout=30)
# Hypothesis' limits: a request may wait for other tests' work.
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NAMES = ("distance", "hour", "station", "rain", "x", "half", "bfloat16", "examples", "b64", "")
SIGNATURES = ("serving_default", "detailed", "single", "total", "examples", "halves", "", "nope", 7)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from([{"b64": "YQ=="}, {"b64": "?"}, {"b64": 1}, {"b64": "/w=="}])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)
# What the model takes, but for a part that hypothesis may put in its place.
ROWS = st.fixed_dictionaries(
    {
        "distance": st.lists(st.floats() | SCALARS, min_size=1, max_size=1) | VALUES,
        "hour": st.integers(-(2**63), 2**63 - 1) | SCALARS,
        "station": st.text(max_size=4) | SCALARS,
        "rain": st.booleans() | SCALARS,
    }
)
DOCUMENTS = VALUES | st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.sampled_from(SIGNATURES),
        "instances": st.lists(ROWS, max_size=3) | st.lists(SCALARS, max_size=3) | VALUES,
        "inputs": ROWS | st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4) | VALUES,
    },
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    text = json.dumps(draw(DOCUMENTS)).encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"])))
    if draw(st.booleans()):
        start, end = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        text = text[:start] + draw(st.binary(max_size=4)) + text[end:]
    return gzip.compress(text) if draw(st.integers(0, 3)) == 0 else text


@FUZZ
@given(body=bodies(), encoding=st.sampled_from([None, None, "gzip", "identity", "br", ""]), in_parts=st.booleans())
def test_no_predict_request_over_rest_is_a_fault_of_the_server(
    served: RunningServer, body: bytes, encoding: str | None, in_parts: bool
) -> None:
    answer = CLIENT.post(
        f"{served.model_url}:predict",
        content=iter([body[:7], body[7:]]) if in_parts else body,
        headers={} if encoding is None else {"Content-Encoding": encoding},
    )
    _check_rest(answer, allowed={200, 400, 501})


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "TRACE"]),
    path=st.lists(
        st.sampled_from(
            ["v1", "models", "bikes", "versions", "labels", "metadata", "7", "9" * 30, ":predict", "%ff", "%2F"]
        )
        | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=5),
        max_size=6,
    ).map("/".join),
    body=st.binary(max_size=20),
)
def test_no_url_is_a_fault_of_the_server(served: RunningServer, method: str, path: str, body: bytes) -> None:
    # Not httpx, which sends no URL that is not one.
    connection = http.client.HTTPConnection(served.rest_url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, f"/{path}", body)
        answer = connection.getresponse()
        headers, content = dict(answer.getheaders()), answer.read()
    finally:
        connection.close()
    allowed = {200, 400, 404, 501}
    if method == "HEAD":
        assert answer.status in allowed
    else:
        _check_rest(httpx.Response(answer.status, headers=headers, content=content), allowed=allowed)


def _check_rest(answer: httpx.Response, *, allowed: set[int]) -> None:
    assert answer.status_code in allowed, answer.text
    if answer.headers["content-type"] != "application/json":
        assert answer.text == "Invalid HTTP request received."
        return
    document = answer.json()
    assert isinstance(document, dict)
    assert ("error" in document) == (answer.status_code != 200)


TYPES = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 17, 18, 19, 20, 21, 22, 23, 101])
SMALL = st.integers(-(2**31), 2**31 - 1)


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    proto = predict_pb2.PredictRequest().inputs["x"]
    proto.dtype = draw(TYPES)
    for size in draw(st.lists(st.integers(0, 3) | st.integers(-(2**63), 2**63 - 1), max_size=3)):
        proto.tensor_shape.dim.add().size = size
    proto.tensor_shape.unknown_rank = draw(st.booleans()) and draw(st.booleans())
    for field, values in (
        ("float_val", st.floats(width=32)),
        ("int_val", SMALL),
        ("half_val", SMALL),
        ("int64_val", st.integers(-(2**63), 2**63 - 1)),
        ("string_val", st.binary(max_size=4)),
        ("bool_val", st.booleans()),
    ):
        getattr(proto, field).extend(draw(st.lists(values, max_size=2)))
    proto.tensor_content = draw(st.just(b"") | st.binary(max_size=9))
    return proto


@st.composite
def predict_requests(draw: st.DrawFn) -> Any:
    message = predict_pb2.PredictRequest()
    message.model_spec.name = draw(st.sampled_from(["bikes", "bikes", "bikes", "other", ""]))
    message.model_spec.signature_name = str(draw(st.sampled_from(SIGNATURES)))
    if draw(st.integers(0, 4)) == 0:
        message.model_spec.version.value = draw(st.integers(-(2**63), 2**63 - 1) | st.just(7))
    for name in draw(st.sets(st.sampled_from(NAMES), max_size=4)):
        message.inputs[name].CopyFrom(draw(tensors()))
    message.output_filter.extend(draw(st.lists(st.sampled_from(["seconds", "y", "nope"]), max_size=2)))
    return message


FINE = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
}


@FUZZ
@given(message=predict_requests() | st.binary(max_size=30))
def test_no_predict_request_over_grpc_is_a_fault_of_the_server(channel: grpc.Channel, message: Any) -> None:
    _check_grpc(channel, "PredictionService/Predict", message)


@FUZZ
@given(
    method=st.sampled_from(
        [
            "PredictionService/GetModelMetadata",
            "PredictionService/Classify",
            "PredictionService/MultiInference",
            "ModelService/GetModelStatus",
            "ModelService/HandleReloadConfigRequest",
        ]
    ),
    message=st.binary(max_size=30)
    | st.builds(
        lambda name, fields, version: _metadata_request(name, fields, version),
        st.sampled_from(["bikes", "other", ""]),
        st.lists(st.sampled_from(["signature_def", "x"]), max_size=2),
        st.none() | st.integers(-(2**63), 2**63 - 1),
    ),
)
def test_no_other_call_is_a_fault_of_the_server(channel: grpc.Channel, method: str, message: Any) -> None:
    _check_grpc(channel, method, message)


def _metadata_request(name: str, fields: list[str], version: int | None) -> Any:
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    message.model_spec.name = name
    if version is not None:
        message.model_spec.version.value = version
    return message


def _check_grpc(channel: grpc.Channel, method: str, message: Any) -> None:
    data = message if isinstance(message, bytes) else message.SerializeToString()
    try:
        answer = channel.unary_unary(f"/tensorflow.serving.{method}", bytes, bytes)(data, timeout=30)
    except grpc.RpcError as error:
        assert error.code() in FINE, (error.code(), error.details())
        assert error.details()
    else:
        kind = {
            "Predict": predict_pb2.PredictResponse,
            "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataResponse,
            "GetModelStatus": get_model_status_pb2.GetModelStatusResponse,
        }[method.partition("/")[2]]
        kind.FromString(answer)


def test_none_of_it_left_a_traceback(served: RunningServer) -> None:
    assert served.served_version() == 7
    assert "Traceback" not in served.log_file.read_text()
