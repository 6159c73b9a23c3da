"""Starting, asking and ending servers from Python, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import psutil
import pytest

from model_server.launch import LaunchError, RequestError, RunningServer, start
from tests.model_server.helpers import MODEL_NAME, START_SECONDS, eventually, publish, seconds_for

TRIP = {"distance": [1.5], "hour": 8, "station": "Kew", "rain": False}
# Stands in for docker, which no test machine has to have: it runs the local server for `docker run`, and keeps what the
# other two commands need in a file. It shows that the commands fit together, not that docker takes them.
FAKE_DOCKER = """\
#!{python}
import json, os, pathlib, signal, subprocess, sys
state = pathlib.Path({folder!r})
verb, arguments = sys.argv[1], sys.argv[2:]
if verb == "run":
    (state / "command").write_text(json.dumps(sys.argv))
    options = dict(part.lstrip("-").split("=", 1) for part in arguments if "=" in part)
    source = options["mount"].split("source=")[1].split(",")[0]
    (state / "pid").write_text(str(os.getpid()))
    os.execv(sys.executable, [sys.executable, "-m", "model_server", "--port=0", "--rest_api_port=0",
        "--model_name=" + options["model_name"], "--model_base_path=" + source, f"--ready_file={{state}}/ready"])
elif verb == "port":
    if not (state / "ready").exists():
        sys.exit(1)
    ready = json.loads((state / "ready").read_text())
    print("127.0.0.1:%d" % ready["grpc_port" if arguments[1] == "8500/tcp" else "rest_api_port"])
elif verb == "stop":
    (state / "stopped").write_text(arguments[-1])
    os.kill(int((state / "pid").read_text()), signal.SIGTERM)
"""


def test_a_running_server_answers_and_says_what_it_serves(served: RunningServer) -> None:
    assert served.predict([TRIP]) == [[seconds_for(2, 1.5, 8, "Kew", False)]]
    assert served.predict([1.0, float("inf")], signature_name="single") == [2.0, float("inf")]
    assert served.served_version() == 7
    assert served.wait(timeout=0.01) is None
    assert served.rest_url.startswith("http://127.0.0.1:")


def test_a_refused_request_carries_the_servers_words(served: RunningServer) -> None:
    with pytest.raises(RequestError, match=r"status 400.*keys must be equal to: distance,hour,rain,station"):
        served.predict([{"hour": 8}])


def test_a_server_is_gone_after_its_block(models: dict[int, Path], tmp_path: Path) -> None:
    publish(models[2], tmp_path / "base", 1)
    log_file = tmp_path / "logs" / "server.log"
    with start(tmp_path / "base", MODEL_NAME, log_file=log_file, deadline_seconds=START_SECONDS) as server:
        assert server.predict([3], "single") == [6.0]
    assert server.wait(timeout=0) == 0
    assert "for development" in log_file.read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.model_url)


def test_a_server_that_ends_at_once_is_an_error_with_its_log(served: RunningServer, tmp_path: Path) -> None:
    port = int(served.grpc_address.split(":")[1])
    log_file = tmp_path / "server.log"
    log_file.write_text("a line of an earlier run\n")
    with pytest.raises(LaunchError) as error_info:
        start(tmp_path, MODEL_NAME, grpc_port=port, log_file=log_file, deadline_seconds=START_SECONDS)
    message = str(error_info.value)
    assert "ended with status 1 before it served a version" in message
    assert f"Cannot listen for gRPC on 127.0.0.1:{port}. Is another server running there?" in message
    assert str(log_file) in message
    assert "an earlier run" not in message


def test_a_server_without_a_version_is_an_error_at_the_deadline_and_ended(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(LaunchError, match=r"served no version within .* s\. The end of its log") as error_info:
        start(tmp_path / "none", MODEL_NAME, log_file=tmp_path / "server.log", deadline_seconds=0.5)
    assert str(tmp_path / "none") in str(error_info.value)
    assert {child.pid for child in psutil.Process().children()} == before


def test_a_server_does_not_outlive_who_started_it(models: dict[int, Path], tmp_path: Path) -> None:
    publish(models[2], tmp_path / "base", 1)
    script = textwrap.dedent(f"""
        import pathlib, time
        from model_server.launch import start
        server = start(pathlib.Path({str(tmp_path / "base")!r}), "bikes",
            log_file=pathlib.Path({str(tmp_path / "log")!r}))
        print(server.pid, flush=True)
        time.sleep(600)
    """)
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert psutil.pid_exists(pid)
    finally:
        starter.send_signal(signal.SIGKILL)
        starter.communicate()
    eventually(lambda: not _runs(pid), "the server ends")


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_an_unknown_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'local' or 'docker', not 'podman'"):
        start(tmp_path, MODEL_NAME, server="podman", log_file=tmp_path / "log")  # type: ignore[arg-type]


def test_without_docker_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="There is no docker on the PATH"):
        start(tmp_path, MODEL_NAME, server="docker", log_file=tmp_path / "log")


def test_docker_is_run_asked_for_its_ports_and_stopped(
    models: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(models[2], tmp_path / "base", 1)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").write_text(FAKE_DOCKER.format(python=sys.executable, folder=str(tmp_path)))
    (programs / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    log_file = tmp_path / "server.log"
    with start(
        tmp_path / "base", MODEL_NAME, server="docker", log_file=log_file, deadline_seconds=START_SECONDS
    ) as server:
        assert server.predict([3], "single") == [6.0]
    assert server.wait(timeout=0) == 0
    assert (tmp_path / "stopped").read_text().startswith("model-server-")
    with pytest.raises(LaunchError, match="There is no directory"):
        start(tmp_path / "none", MODEL_NAME, server="docker", log_file=log_file)
