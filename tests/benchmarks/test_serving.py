"""The benchmark of the model server: its arithmetic, its clients, and a short run for real."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from benchmarks import serving
from benchmarks.clients import serving_client
from benchmarks.serving import Plan
from benchmarks.subjects import serving_model

NAMES = {
    *("rest_over_bare_1", "grpc_over_bare_1", "bare_ms"),
    *(f"{protocol}_{what}" for protocol in ("rest", "grpc") for what in ("rps_1", "p99_ms_1", "rps_4", "p99_ms_4")),
}


def test_a_ratio_is_that_of_each_turn_by_itself() -> None:
    # The machine was three times as slow in the second turn, for both.
    assert serving.over([[4.0, 2.0, 3.0], [9.0], [8.0]], [[1.0], [2.0, 3.0, 4.0], [2.0]]) == 3.0


def test_the_figures_are_named_after_the_clients() -> None:
    turns = [[1.0] * 99 + [100.0], [1.0] * 100]
    measured = serving.figures(
        {"bare": [[0.5], [0.25]], "rest": turns, "grpc": turns}, {"rest": turns, "grpc": turns}, Plan(2, 0.5, 64)
    )
    assert measured["rest_over_bare_1"] == 3.0
    assert measured["bare_ms"] == 0.375
    assert measured["rest_rps_64"] == measured["grpc_rps_1"] == 200
    assert measured["rest_p99_ms_64"] == 1.0


def test_it_measures_as_promised_what_the_project_promises() -> None:
    assert serving.FULL.many == 64


def test_a_bare_call_gives_the_models_answer(tmp_path: Path) -> None:
    serving_model.save(tmp_path / "model")
    assert serving_model.bare_call(tmp_path / "model")().shape == (1, 1)


def serve_once(answer: bytes) -> str:
    """Answers whatever comes over one connection, and closes it."""
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(answer)

    threading.Thread(target=serve).start()
    return f"{host}:{port}"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno", "the server answered b'HTTP/1.1 400 Bad Request"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1", "the server closed the connection"),
    ],
)
def test_a_wrong_answer_is_no_answer(answer: bytes, says: str) -> None:
    client = serving_client.rest(serve_once(answer), b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(RuntimeError, match=says):
        serving_client.time_all([client], 1.0)


def test_a_quick_run_ends_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert serving.main(["--quick"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures.keys() == NAMES
    assert all(value > 0.0 for value in figures.values())
