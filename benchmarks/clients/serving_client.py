"""Clients of the model server, a process of their own: they send one request over and over and time the answers.

    python -m benchmarks.clients.serving_client rest|grpc ADDRESS REQUEST-FILE CLIENTS

Each line of standard input is a number of seconds to ask for; the answer is a line of JSON with what each request took
in milliseconds. Each client is a thread with a connection of its own, which it keeps. HTTP is spoken here by hand, for
a client library takes longer than the server does.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

PREDICT = "/tensorflow.serving.PredictionService/Predict"
ANSWER_SECONDS = 60.0
_HEAD_END = b"\r\n\r\n"


def rest(address: str, request: bytes) -> Callable[[], None]:
    """A kept connection that sends `request`, the bytes of an HTTP request; what it gives raises for a wrong answer."""
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask() -> None:
        connection.sendall(request)
        answer = b""
        while (end := answer.find(_HEAD_END)) < 0:
            answer += _receive(connection)
        head = answer[:end].lower()
        wanted = end + len(_HEAD_END) + int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(answer) < wanted:
            answer += _receive(connection)
        if not head.startswith(b"http/1.1 200 "):
            raise RuntimeError(f"the server answered {answer!r}")

    return ask


def _receive(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise RuntimeError("the server closed the connection")
    return part


def grpc_client(address: str, request: bytes) -> Callable[[], None]:
    """A channel that sends `request`, the bytes of a message; what it gives raises grpc.RpcError for a wrong answer."""
    # A connection of its own: channels to one address otherwise share one.
    channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
    call = channel.unary_unary(PREDICT)  # type: ignore[call-arg]  # without serializers bytes are what is sent

    def ask() -> None:
        call(request, timeout=ANSWER_SECONDS)

    return ask


def time_all(clients: Sequence[Callable[[], None]], seconds: float) -> list[float]:
    """What each request took, in milliseconds, of clients that all ask for `seconds`.

    Raises:
        RuntimeError: a request failed.
    """
    times: list[float] = []
    failures: list[BaseException] = []
    begin = threading.Barrier(len(clients))

    def work(ask: Callable[[], None]) -> None:
        own = []
        try:
            begin.wait()
            deadline = time.perf_counter() + seconds
            while (started := time.perf_counter()) < deadline:
                ask()
                own.append((time.perf_counter() - started) * 1000.0)
        except Exception as error:  # of a thread: it is raised below
            failures.append(error)
        times.extend(own)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"{len(failures)} clients failed, the first with: {failures[0]}")
    return times


def main(arguments: Sequence[str]) -> int:
    """Asks whenever it is told to, until standard input ends."""
    protocol, address, request_file, count = arguments
    request = Path(request_file).read_bytes()
    connect = rest if protocol == "rest" else grpc_client
    clients = [connect(address, request) for _ in range(int(count))]
    for client in clients:
        client()
    for line in sys.stdin:
        print(json.dumps(time_all(clients, float(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
