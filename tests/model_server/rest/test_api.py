"""The REST API of a real server."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import tensorflow as tf

from model_server.launch import RunningServer
from tests.model_server.helpers import seconds_for

TRIPS: list[dict[str, Any]] = [
    {"distance": [1.5], "hour": 8, "station": "Kew", "rain": False},
    {"distance": [4.0], "hour": 0, "station": "nowhere", "rain": True},
]
EXPECTED = [seconds_for(2, 1.5, 8, "Kew", False), seconds_for(2, 4.0, 0, "nowhere", True)]
# One for all: making a client takes longer than a request.
CLIENT = httpx.Client(timeout=30)
SINGLE = '{"signature_name": "single", "instances": [1.5]}'
NOT_UTF_8 = {**TRIPS[0], "station": {"b64": "/w=="}}
COLUMNS = {key: [trip[key] for trip in TRIPS] for key in TRIPS[0]}


def post(server: RunningServer, body: Any, path: str = "/v1/models/bikes:predict") -> httpx.Response:
    content = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return CLIENT.post(server.rest_url + path, content=content)


def connected(server: RunningServer) -> socket.socket:
    host, port = server.rest_url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def get(server: RunningServer, path: str) -> httpx.Response:
    return CLIENT.get(server.rest_url + path)


@pytest.mark.parametrize("path", ["/v1/models/bikes", "/v1/models/bikes/versions/7"])
def test_rows_and_columns_are_answered_in_kind(served: RunningServer, path: str) -> None:
    rows = post(served, {"instances": TRIPS}, f"{path}:predict")
    assert rows.headers["content-type"] == "application/json"
    assert rows.json() == {"predictions": [[seconds] for seconds in EXPECTED]}
    columns = post(served, {"signature_name": "serving_default", "inputs": COLUMNS}, f"{path}:predict")
    assert columns.json() == {"outputs": [[seconds] for seconds in EXPECTED]}


def test_several_outputs_are_named(served: RunningServer) -> None:
    station = base64.b64encode(b"Kew").decode()
    rows = post(served, {"signature_name": "detailed", "instances": TRIPS}).json()["predictions"]
    assert rows[0] == {"seconds": EXPECTED[0], "label": "to Kew", "station_bytes": {"b64": station}}
    columns = post(served, {"signature_name": "detailed", "inputs": COLUMNS}).json()["outputs"]
    assert columns["seconds"] == EXPECTED
    assert columns["label"] == ["to Kew", "to nowhere"]


def test_one_input_may_be_bare(served: RunningServer) -> None:
    assert post(served, {"signature_name": "single", "instances": [1, 2.5]}).json() == {"predictions": [2.0, 5.0]}
    assert post(served, {"signature_name": "single", "instances": [{"x": 1}]}).json() == {"predictions": [2.0]}
    assert post(served, {"signature_name": "single", "inputs": [1]}).json() == {"outputs": [2.0]}


def test_what_is_no_number_goes_in_and_out_as_a_bare_word(served: RunningServer) -> None:
    answer = post(served, '{"signature_name": "single", "instances": [NaN, Infinity, -Infinity]}')
    assert answer.text == '{"predictions": [NaN, Infinity, -Infinity]}'


def test_serialized_examples_are_parsed_by_the_model(served: RunningServer) -> None:
    def example(trip: dict[str, Any]) -> dict[str, str]:
        feature = {
            "distance": tf.train.Feature(float_list=tf.train.FloatList(value=trip["distance"])),
            "hour": tf.train.Feature(int64_list=tf.train.Int64List(value=[trip["hour"]])),
            "station": tf.train.Feature(bytes_list=tf.train.BytesList(value=[trip["station"].encode()])),
            "rain": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(trip["rain"])])),
        }
        serialized = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
        return {"b64": base64.b64encode(serialized).decode()}

    answer = post(served, {"signature_name": "examples", "instances": [example(trip) for trip in TRIPS]})
    assert answer.json() == {"predictions": [[seconds] for seconds in EXPECTED]}
    garbage = post(served, {"signature_name": "examples", "instances": ["no example"]})
    assert garbage.status_code == 400
    assert garbage.json()["error"].startswith("Could not parse example input")


def test_the_status_has_tensorflow_servings_form(served: RunningServer) -> None:
    entry = {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert get(served, "/v1/models/bikes").json() == {"model_version_status": [entry]}
    assert get(served, "/v1/models/bikes/versions/7").json() == {"model_version_status": [entry]}


def test_the_metadata_has_tensorflow_servings_form(served: RunningServer) -> None:
    answer = get(served, "/v1/models/bikes/metadata").json()
    assert answer["model_spec"] == {"name": "bikes", "version": "7", "signature_name": ""}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "detailed", "single", "examples"} <= signatures.keys()
    single = signatures["single"]
    assert single["method_name"] == "tensorflow/serving/predict"
    assert single["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert single["inputs"]["x"]["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert get(served, "/v1/models/bikes/versions/7/metadata").json() == answer


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/v1/models/other", 404, "Could not find any versions of model other. This server has only the model bikes"),
        ("/v1/models/other/metadata", 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/bikes/versions/8", 404, "Could not find version 8 of model bikes"),
        ("/v1/models/bikes/versions/8/metadata", 404, "Servable not found for request: Specific(bikes, 8)"),
        ("/v1/models/bikes/labels/stable", 400, "Unrecognized servable version label: stable"),
        ("/v1/models/bikes/versions/99999999999999999999", 400, "Failed to convert version: 99999999999999999999 to n"),
        (f"/v1/models/bikes/versions/{'9' * 5000}", 400, "Failed to convert version: 9999"),
        ("/v1/models/bikes/versions/9223372036854775807", 404, "Could not find version 9223372036854775807 of model"),
        (f"/v1/models/{'x' * 5000}", 404, "Could not find any versions of model xxx"),
        ("/v1/models/bi%6Bes/versions/8", 404, "Could not find version 8 of model bikes"),
        ("/v1/models/bi%2Fkes", 404, "Could not find any versions of model bi/kes"),
        ("/v1/models/%FF", 404, "Could not find any versions of model"),
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/bikes/versions/x", 400, "Malformed request: GET /v1/models/bikes/versions/x"),
        ("/v1/models/bikes:predict", 400, "Malformed request: GET /v1/models/bikes:predict"),
        ("/", 404, "Not Found: /. The API is under /v1/models/NAME"),
    ],
)
def test_a_wrong_url_is_refused(served: RunningServer, path: str, status: int, says: str) -> None:
    answer = get(served, path)
    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("bikes:predict", "{", 400, "JSON Parse error: "),
        ("bikes:predict", "", 400, "JSON Parse error: The document is empty"),
        ("bikes:predict", "[" * 100_000, 400, "JSON Parse error: nested too deeply"),
        ("bikes:predict", "[" * 900 + "]" * 900, 400, "Is not object"),
        ("bikes:predict", SINGLE.encode("utf-16"), 400, "JSON Parse error: "),
        (
            "bikes:predict",
            SINGLE.replace("1.5", "1e400"),
            400,
            "JSON Parse error: Number too big to be stored in double.",
        ),
        ("bikes:predict", SINGLE.replace("1.5", "9" * 5000), 400, "JSON Parse error: Number too big to be stored in d"),
        (
            "bikes:predict",
            {"signature_name": "halves", "inputs": {"half": [1], "bfloat16": [1]}},
            501,
            "to type: bfloat16",
        ),
        (
            "bikes:predict",
            {"signature_name": "detailed", "instances": [NOT_UTF_8]},
            400,
            "Name it label_bytes in the model",
        ),
        ("bikes:predict", {"instances": [{"hour": 8}]}, 400, "keys must be equal to: distance,hour,rain,station"),
        ("bikes:predict", {"inputs": {"hour": [8]}}, 400, "Missing named input: distance in 'inputs' object."),
        ("bikes:predict", {"instances": [{**TRIPS[0], "hour": "8"}]}, 400, "is not of expected type: int64"),
        ("bikes:predict", {"instances": [{**TRIPS[0], "distance": 1.5}]}, 400, "Put each value into a list of one"),
        ("bikes:predict", {"inputs": {**COLUMNS, "hour": [8, 9, 10]}}, 400, "ncompatible shapes"),
        ("bikes:predict", {"signature_name": "x", "instances": [1]}, 400, 'name: "x" not found in signature def'),
        ("bikes:predict", {"signature_name": "total", "instances": [1]}, 400, "sum has no shape information"),
        ("other:predict", {"instances": TRIPS}, 404, "Servable not found for request: Latest(other)"),
        ("bikes/versions/1:predict", {"instances": TRIPS}, 404, "Specific(bikes, 1). Version 7 is served"),
        ("bikes:regress", {"examples": [{}]}, 501, "Regress is not part of this development server; use Predict"),
        ("bikes:classify", {"examples": [{}]}, 501, "Classify is not part of this development server"),
        ("bikes:explain", {}, 400, "Malformed request: POST /v1/models/bikes:explain"),
        ("bikes", {}, 400, "Malformed request: POST /v1/models/bikes"),
    ],
)
def test_a_wrong_request_is_refused(served: RunningServer, path: str, body: Any, status: int, says: str) -> None:
    answer = post(served, body, f"/v1/models/{path}")
    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        SINGLE,
        b"\xef\xbb\xbf" + SINGLE.encode(),
        SINGLE[:-1] + ', "instances": [7], "signature_name": "x", "inputs_": 1}',
        '{"signature_name": "single", "inputs": {"x": [1.5], "x": "y"}}',
        '{"signature_name": "single", "instances": [{"x": 1.5, "x": 7}]}',
    ],
)
def test_of_keys_that_repeat_the_first_counts_and_a_byte_order_mark_is_passed_over(
    served: RunningServer, body: str | bytes
) -> None:
    ((_, answer),) = post(served, body).json().items()
    assert answer == [3.0]


def test_a_body_may_be_packed(served: RunningServer) -> None:
    def send(content: bytes, encoding: str = "gzip") -> httpx.Response:
        url = f"{served.model_url}:predict"
        return CLIENT.post(url, content=content, headers={"Content-Encoding": encoding})

    whole = gzip.compress(SINGLE.encode())
    assert send(whole).json() == {"predictions": [3.0]}
    many = json.dumps({"signature_name": "single", "instances": [1.5] * 200_000}).encode()
    assert send(gzip.compress(many)).json() == {"predictions": [3.0] * 200_000}
    for content, encoding, status, says in (
        (whole[:-3], "gzip", 400, "The body ends in the middle of its gzip"),
        (SINGLE.encode(), "gzip", 400, "The body is not the gzip that its Content-Encoding says"),
        (whole, "br", 400, "Content-Encoding br is not known here; send gzip"),
        (gzip.compress(b" " * (101 * 2**20), 1, mtime=0), "gzip", 413, "has more than 104857600 bytes unpacked"),
    ):
        answer = send(content, encoding)
        assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text


def test_a_body_beyond_the_limit_is_refused_whether_or_not_it_says_its_length(served: RunningServer) -> None:
    url = f"{served.model_url}:predict"
    too_much = b" " * 2**20
    for content in (too_much * 101, (too_much for _ in range(101))):
        answer = CLIENT.post(url, content=content)
        assert answer.status_code == 413
        assert "this server takes 104857600 (--max_request_bytes)" in answer.json()["error"]
    with connected(served) as client:
        head = f"POST {httpx.URL(url).path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999999999"
        client.sendall(f"{head}\r\n\r\n".encode())
        # At once, and not a word of going on.
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_200_000_rows_are_answered_in_order(served: RunningServer) -> None:
    trips = [{"distance": [number / 4], "hour": 8, "station": "Kew", "rain": False} for number in range(200_000)]
    answer = post(served, {"instances": trips}).json()["predictions"]
    assert answer == [[seconds_for(2, number / 4, 8, "Kew", False)] for number in range(200_000)]


@pytest.mark.timeout(300)
def test_a_large_body_blocks_nobody_and_takes_bounded_memory(served: RunningServer) -> None:
    def peak() -> int:
        status = Path(f"/proc/{served.pid}/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])

    body = b'{"signature_name": "single", "instances": [' + b"1.5, " * 5_999_999 + b"1.5]}"
    peak_before = peak()
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(httpx.post, f"{served.model_url}:predict", content=body, timeout=240)
        longest, count = 0.0, 0
        while not large.done():
            asked = time.monotonic()
            assert post(served, SINGLE).json() == {"predictions": [3.0]}
            longest = max(longest, time.monotonic() - asked)
            count += 1
    took = time.monotonic() - began
    assert large.result().content.count(b"3.0") == 6_000_000
    assert longest < took / 4, f"of {count} small requests within {took:.1f} s one took {longest:.1f} s"
    assert peak() - peak_before < 20 * len(body)


@pytest.mark.parametrize("depth", [2, 31, 32, 33, 34, 64])
@pytest.mark.parametrize(
    "form", ['"instances":{0}1{1}', '"instances":{0}{1}', '"instances":[{{"x":{0}1{1}}}]', '"inputs":{0}1{1}']
)
def test_lists_nested_to_any_depth_are_refused_in_words(served: RunningServer, form: str, depth: int) -> None:
    body = '{"signature_name":"single",' + form.format("[" * depth, "]" * depth) + "}"
    response = post(served, body.encode())
    assert response.status_code == 400 and "error" in response.json()


def test_an_upgrade_that_a_client_offers_is_passed_over(served: RunningServer) -> None:
    body = b'{"signature_name":"single","instances":[1.5]}'
    head = (
        "POST /v1/models/bikes:predict HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        f"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with connected(served) as client:
        for parts in ([head.encode() + body], [head.encode(), body]):
            for part in parts:
                client.sendall(part)
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert (answer.status, json.loads(answer.read())) == (200, {"predictions": [3.0]})


def test_an_upload_that_takes_its_time_keeps_nobody_waiting(served: RunningServer) -> None:
    head = b"POST /v1/models/bikes:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n"
    with connected(served) as client:
        client.sendall(head + b" " * 400_000)
        response = post(served, {"signature_name": "single", "instances": [1.5] * 100_000})
        assert response.status_code == 200 and len(response.json()["predictions"]) == 100_000


def test_another_method_is_malformed(served: RunningServer) -> None:
    answer = CLIENT.request("DELETE", f"{served.rest_url}/v1/models/bikes")
    assert (answer.status_code, answer.json()) == (400, {"error": "Malformed request: DELETE /v1/models/bikes"})


def test_the_server_outlives_every_wrong_request_and_answers_many_at_once(served: RunningServer) -> None:
    def ask(number: int) -> Any:
        if number % 2:
            return post(served, "{").status_code
        return post(served, {"signature_name": "single", "instances": [number]}).json()["predictions"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(64)))
    assert answers == [400 if number % 2 else [2.0 * number] for number in range(64)]
