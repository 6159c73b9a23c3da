"""Connections: how fast they answer, how many there are, and how long they may have nothing to say."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import psutil
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from model_server.rest import http_server
from model_server.rest.http_server import Connection, HttpServer
from model_server.server import _listen
from tests.model_server.helpers import MODEL_NAME, START_SECONDS, eventually, publish

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
NEVER = 600.0


class App:
    """Answers once it is let."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        self.asked += 1
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
        await asyncio.get_running_loop().run_in_executor(None, self.may_answer.wait)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


class Running:
    def __init__(self, *, most: int, idle_seconds: float) -> None:
        self.app = App()
        listener = _listen("127.0.0.1", 0)
        self.address = listener.getsockname()
        self.server = HttpServer(self.app, listener, most=most, idle_seconds=idle_seconds, grace_seconds=1)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=30)

    @property
    def connections(self) -> list[Connection]:
        return [each for each in self.server.server_state.connections if isinstance(each, Connection)]


@contextmanager
def running(*, most: int = 100, idle_seconds: float = NEVER) -> Iterator[Running]:
    made = Running(most=most, idle_seconds=idle_seconds)
    thread = threading.Thread(target=made.server.run)
    thread.start()
    try:
        eventually(lambda: made.server.started, "the server has started")
        yield made
    finally:
        made.app.may_answer.set()
        made.server.should_exit = True
        thread.join()


def ask(client: socket.socket) -> bytes:
    client.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"\r\n\r\nok"):
        answer += client.recv(4096)
    return answer


def is_closed(client: socket.socket) -> bool:
    """Waits for the other side to close."""
    try:
        return client.recv(4096) == b""
    except ConnectionResetError:
        return True


def test_small_packets_are_sent_at_once() -> None:
    with running() as server, server.connect() as client:
        assert ask(client).startswith(b"HTTP/1.1 200")
        (connection,) = server.connections
        served = connection.transport.get_extra_info("socket")
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_connection_that_waits_for_its_client_too_long_is_closed() -> None:
    begun = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123"
    with running(idle_seconds=0.2) as server:
        for sent in (b"", b"GET / HT", begun):
            with server.connect() as client:
                client.sendall(sent)
                assert is_closed(client), sent
        with server.connect() as client:
            assert ask(client)
            assert is_closed(client)


def test_a_connection_that_waits_for_its_answer_is_not_closed() -> None:
    with running(idle_seconds=0.05) as server, server.connect() as client, server.connect() as other:
        server.app.may_answer.clear()
        client.sendall(REQUEST)
        eventually(lambda: server.app.asked, "the request has arrived")
        assert is_closed(other)  # so the connections have been looked through
        server.app.may_answer.set()
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_connections_without_a_request_make_room_for_others(caplog: pytest.LogCaptureFixture) -> None:
    with running(most=4) as server, ExitStack() as stack:
        server.app.may_answer.clear()
        busy = stack.enter_context(server.connect())
        busy.sendall(REQUEST)
        eventually(lambda: server.app.asked == 1, "the first has arrived")
        kept = stack.enter_context(server.connect())
        idle = [stack.enter_context(server.connect()) for _ in range(5)]
        last = stack.enter_context(server.connect())
        last.sendall(REQUEST)
        eventually(lambda: server.app.asked == 2, "the last has its turn")
        assert len(server.connections) <= 4
        server.app.may_answer.set()
        assert busy.recv(4096).startswith(b"HTTP/1.1 200")
        assert last.recv(4096).startswith(b"HTTP/1.1 200")
        assert is_closed(idle[0])
        assert is_closed(kept)
    assert [record.message for record in caplog.records if record.name == http_server.__name__] == [
        "4 connections are open, the most there may be; idle ones make room for others"
    ]


def test_connections_that_all_have_requests_let_others_wait() -> None:
    with running(most=2) as server, ExitStack() as stack:
        server.app.may_answer.clear()
        clients = [stack.enter_context(server.connect()) for _ in range(3)]
        for client in clients:
            client.sendall(REQUEST)
        eventually(lambda: server.app.asked == 2, "two have their turn")
        server.app.may_answer.set()
        for client in clients:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_head_without_end_is_refused() -> None:
    with running() as server, server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * http_server._MAX_HEAD_BYTES))
        assert client.recv(4096).startswith(b"HTTP/1.1 400")


# In a process of its own: it is about all of its descriptors.
@pytest.fixture(scope="module")
def ready(models: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A server with few descriptors: what its ready file says, and its log."""
    folder = tmp_path_factory.mktemp("few")
    publish(models[2], folder / "base", 7)
    command = [
        *(sys.executable, "-m", "model_server", "--port=0", "--rest_api_port=0", f"--model_name={MODEL_NAME}"),
        *(f"--model_base_path={folder / 'base'}", f"--ready_file={folder / 'ready'}", "--idle_connection_seconds=3"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (150, 200)),
        )
    try:
        eventually(lambda: (folder / "ready").exists(), "the server is ready", START_SECONDS)
        yield {**json.loads((folder / "ready").read_text()), "log": folder / "log"}
    finally:
        process.kill()
        process.wait()


def predict_rest(port: int) -> Any:
    url = f"http://127.0.0.1:{port}/v1/models/{MODEL_NAME}:predict"
    return httpx.post(url, json={"signature_name": "single", "instances": [1.0]}, timeout=30).json()


def predict_grpc(port: int) -> list[float]:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL_NAME
    request.model_spec.signature_name = "single"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([1], np.float32)))
    # A pool of its own, or it would take over a connection that another channel of this process has open.
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return list(stub.Predict(request, timeout=60, wait_for_ready=True).outputs["y"].float_val)


@pytest.mark.parametrize("port_name", ["rest_api_port", "grpc_port"])
def test_idle_connections_beyond_all_descriptors_keep_nobody_from_an_answer(
    ready: dict[str, Any], port_name: str
) -> None:
    process = psutil.Process(ready["pid"])
    assert process.rlimit(psutil.RLIMIT_NOFILE) == (200, 200)
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", ready[port_name]), timeout=30))
        assert predict_rest(ready["rest_api_port"]) == {"predictions": [2.0]}
        assert predict_grpc(ready["grpc_port"]) == [2.0]
        assert process.num_fds() < 200
    assert ready["log"].stat().st_size < 10_000


def test_a_lack_of_descriptors_is_told_once_and_passes(ready: dict[str, Any]) -> None:
    process = psutil.Process(ready["pid"])
    limits = process.rlimit(psutil.RLIMIT_NOFILE)
    eventually(lambda: process.num_fds() < 50, "earlier connections are closed")
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds(), limits[1]))
    try:
        clients = [socket.create_connection(("127.0.0.1", ready["rest_api_port"]), timeout=30) for _ in range(20)]
        words = "Cannot accept a connection (Too many open files)"
        eventually(lambda: words in ready["log"].read_text(), "the lack is told")
        busy_before = sum(process.cpu_times()[:2])
        # Longer than the server leaves a lack alone, several times.
        with pytest.raises(TimeoutError):
            clients[0].settimeout(2)
            clients[0].recv(1)
        assert sum(process.cpu_times()[:2]) - busy_before < 1
    finally:
        process.rlimit(psutil.RLIMIT_NOFILE, limits)
    for client in clients:
        client.settimeout(30)
        client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400")
        client.close()
    assert ready["log"].read_text().count(words) == 1
