"""The same question by every way in gets the same numbers."""

from __future__ import annotations

import json
from typing import Any

import grpc
import httpx
import numpy as np
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from model_server.launch import RunningServer
from tests.model_server.helpers import STATIONS

TRIP = st.fixed_dictionaries(
    {
        "distance": st.lists(st.floats(width=32), min_size=1, max_size=1),
        "hour": st.integers(-(2**62), 2**62),
        "station": st.sampled_from(STATIONS) | st.text(),
        "rain": st.booleans(),
    }
)
CLIENT = httpx.Client(timeout=30)
TYPES = {"distance": np.float32, "hour": np.int64, "station": object, "rain": np.bool_}


def ask_rest(server: RunningServer, form: str, value: Any) -> Any:
    body = json.dumps({form: value, "signature_name": "detailed"})
    answer = CLIENT.post(f"{server.model_url}:predict", content=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask_grpc(channel: grpc.Channel, columns: dict[str, list[Any]]) -> dict[str, Any]:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "bikes"
    request.model_spec.signature_name = "detailed"
    for name, values in columns.items():
        if name == "station":
            values = [value.encode() for value in values]
        request.inputs[name].CopyFrom(tf.make_tensor_proto(np.array(values, TYPES[name])))
    answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    return {name: tf.make_ndarray(proto) for name, proto in answer.outputs.items()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trips=st.lists(TRIP, min_size=1, max_size=4))
def test_rows_columns_and_grpc_agree(served: RunningServer, channel: grpc.Channel, trips: list[dict[str, Any]]) -> None:
    columns = {key: [trip[key] for trip in trips] for key in TYPES}
    by_row = ask_rest(served, "instances", trips)["predictions"]
    by_column = ask_rest(served, "inputs", columns)["outputs"]
    by_grpc = ask_grpc(channel, columns)
    assert [row["label"] for row in by_row] == by_column["label"] == [text.decode() for text in by_grpc["label"]]
    seconds = by_grpc["seconds"]
    np.testing.assert_array_equal(np.array([row["seconds"] for row in by_row], np.float32), seconds)
    np.testing.assert_array_equal(np.array(by_column["seconds"], np.float32), seconds)
