"""The process: its ports, its ready file, its patience and its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tests.model_server.helpers import MODEL_NAME, START_SECONDS, eventually, publish


@contextmanager
def server(folder: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "model_server",
        "--port=0",
        "--rest_api_port",
        "0",
        f"--model_name={MODEL_NAME}",
        f"--model_base_path={folder / 'base'}",
        f"--ready_file={folder / 'ready.json'}",
        *flags,
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def log_of(folder: Path) -> str:
    return (folder / "log").read_text()


def test_it_waits_for_the_first_version_then_says_its_ports_and_ends_on_sigterm(
    models: dict[int, Path], tmp_path: Path
) -> None:
    port = free_port()
    with server(tmp_path, f"--rest_api_port={port}") as process:
        url = f"http://127.0.0.1:{port}/v1/models/{MODEL_NAME}"
        eventually(lambda: "Cannot read the base path" in log_of(tmp_path), "the absent path is told", START_SECONDS)
        answer = httpx.get(url)
        assert answer.status_code == 404
        assert f"There is no version under {tmp_path / 'base'} yet" in answer.json()["error"]
        assert httpx.post(f"{url}:predict", content='{"instances": [1]}').status_code == 404
        assert not (tmp_path / "ready.json").exists()
        publish(models[2], tmp_path / "base", 3)
        eventually(lambda: (tmp_path / "ready.json").exists(), "the ready file")
        ready = json.loads((tmp_path / "ready.json").read_text())
        assert ready["pid"] == process.pid
        assert (ready["rest_api_port"], ready["version"], ready["model_name"]) == (port, 3, MODEL_NAME)
        assert ready["host"] == "127.0.0.1"
        assert ready["grpc_port"] not in (0, port)
        assert "This is a model server for development" in log_of(tmp_path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not (tmp_path / "ready.json").exists()
    assert "Traceback" not in log_of(tmp_path)


def test_one_look_finds_the_version_and_a_request_in_flight_at_sigint_is_still_answered(
    models: dict[int, Path], tmp_path: Path
) -> None:
    publish(models[2], tmp_path / "base", 1)
    (tmp_path / "ready.json").write_text("left by an earlier run")
    body = b'{"signature_name": "single", "instances": [21]}'
    head = (
        f"POST /v1/models/{MODEL_NAME}:predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with server(tmp_path, "--file_system_poll_wait_seconds=0") as process:
        eventually(lambda: "Ready after" in log_of(tmp_path), "the server is ready", START_SECONDS)
        ready = json.loads(eventually(lambda: ready_text(tmp_path), "the ready file"))
        with socket.create_connection(("127.0.0.1", ready["rest_api_port"]), timeout=30) as client:
            client.sendall(head.encode())
            assert client.recv(1024).startswith(b"HTTP/1.1 100")  # so the server is in the middle of the request
            process.send_signal(signal.SIGINT)
            eventually(lambda: "Stopping" in log_of(tmp_path), "the server begins to stop")
            client.sendall(body)
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'{"predictions": [42.0]}')
        assert process.wait(10) == 0


def test_a_large_request_keeps_the_server_from_its_end_no_longer_than_another(
    models: dict[int, Path], tmp_path: Path
) -> None:
    publish(models[2], tmp_path / "base", 1)
    body = b'{"signature_name": "single", "instances": [' + b"1.5, " * 9_999_999 + b"1.5]}"
    with server(tmp_path, "--file_system_poll_wait_seconds=0") as process, ThreadPoolExecutor(1) as pool:
        eventually(lambda: "Ready after" in log_of(tmp_path), "the server is ready", START_SECONDS)
        port = json.loads(eventually(lambda: ready_text(tmp_path), "the ready file"))["rest_api_port"]
        url = f"http://127.0.0.1:{port}/v1/models/{MODEL_NAME}:predict"
        answer = pool.submit(httpx.post, url, content=body, timeout=60)
        memory = psutil.Process(process.pid).memory_info().rss
        grown = 3 * len(body)
        eventually(lambda: psutil.Process(process.pid).memory_info().rss > memory + grown, "it is being parsed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        answer.exception(timeout=60)
    # Which of them depends on the machine.
    assert "Stopped" in log_of(tmp_path) or "Ending with 1 requests cut off after 3 s" in log_of(tmp_path)


def ready_text(folder: Path) -> str:
    """What the server says of itself, once it does: an earlier run's file it takes away."""
    path = folder / "ready.json"
    text = path.read_text() if path.exists() else ""
    return text if text.startswith("{") else ""


def test_it_ends_at_once_while_it_still_imports_tensorflow(tmp_path: Path) -> None:
    with server(tmp_path) as process:
        eventually(lambda: "for development" in log_of(tmp_path), "the process has begun", START_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_taken_rest_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with server(tmp_path, f"--rest_api_port={port}") as process:
            assert process.wait(START_SECONDS) == 1
    assert f"Cannot listen for REST on 127.0.0.1:{port}" in log_of(tmp_path)
    assert "Traceback" not in log_of(tmp_path)


def test_reading_the_flags_imports_no_tensorflow_and_serving_no_tfx() -> None:
    script = """if True:
        import sys
        def heavy():
            return [name for name in ("tensorflow", "tfx", "apache_beam") if name in sys.modules]
        import model_server.__main__, model_server.launch
        print(heavy())
        import model_server.server
        print(heavy())
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['tensorflow']"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
