"""Starts a model server, the local one or TensorFlow Serving in a container, and waits until it serves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal

import httpx

from model_server import docker
from model_server.flags import DEFAULT_HOST, Flags
from model_server.running import REQUEST_SECONDS, STOP_SECONDS, RequestError, RunningServer, available_version, end

__all__ = ["LaunchError", "RequestError", "RunningServer", "start"]

_POLL_SECONDS = 0.05
_DOCKER_SECONDS = 30.0
_TAIL_LINES = 20
_TAIL_BYTES = 16_384


class LaunchError(Exception):
    """The server did not start; the message says why and includes the end of its log."""


def start(
    base_path: Path,
    model_name: str,
    *,
    server: Literal["local", "docker"] = "local",
    grpc_port: int = 0,
    rest_port: int = 0,
    log_file: Path,
    deadline_seconds: float = 60.0,
) -> RunningServer:
    """Starts a server on 127.0.0.1 and returns once it serves a version of the model.

    The local server also ends when this process does, however it ends.

    Args:
        base_path: the directory with one numeric directory per version.
        model_name: the name in the URL.
        server: `local` is this package's server, `docker` is tensorflow/serving in a container.
        grpc_port: the port for gRPC; 0 picks a free one.
        rest_port: the port for REST; 0 picks a free one.
        log_file: where the server's output is appended to.
        deadline_seconds: how long to wait for the first version; docker may have to pull its image in that time.

    Raises:
        LaunchError: docker is absent, the server ended, or nothing was served by the deadline.
    """
    flags = Flags(Path(base_path), model_name, grpc_port, rest_port, host=DEFAULT_HOST)
    deadline = time.monotonic() + deadline_seconds
    log_file = Path(log_file)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    if server == "local":
        return _start_local(flags, log_file, deadline)
    if server == "docker":
        return _start_docker(flags, log_file, deadline)
    raise ValueError(f"server must be 'local' or 'docker', not {server!r}")


def _start_local(flags: Flags, log_file: Path, deadline: float) -> RunningServer:
    with tempfile.TemporaryDirectory(prefix="model-server-") as folder, log_file.open("ab") as log:
        ready_file = Path(folder) / "ready.json"
        command = [
            sys.executable,
            "-m",
            "model_server",
            f"--port={flags.port}",
            f"--rest_api_port={flags.rest_api_port}",
            f"--host={flags.host}",
            f"--model_name={flags.model_name}",
            f"--model_base_path={flags.model_base_path.absolute()}",
            f"--ready_file={ready_file}",
            "--stop_when_stdin_closes",
        ]
        start_of_log = log.tell()
        process = _spawn(command, log)

        def ready() -> dict[str, Any] | None:
            return json.loads(ready_file.read_text()) if ready_file.exists() else None

        facts = _await(process, ready, deadline, flags, log_file, start_of_log)
    return RunningServer(
        process,
        rest_url=f"http://{flags.host}:{facts['rest_api_port']}",
        grpc_address=f"{flags.host}:{facts['grpc_port']}",
        model_name=flags.model_name,
        log_file=log_file,
    )


def _start_docker(flags: Flags, log_file: Path, deadline: float) -> RunningServer:
    executable = shutil.which("docker")
    if executable is None:
        raise LaunchError(
            "There is no docker on the PATH, which tensorflow/serving needs. Install docker, or use the local server"
        )
    if not flags.model_base_path.is_dir():
        raise LaunchError(f"There is no directory {flags.model_base_path} to mount into the container")
    container = f"model-server-{uuid.uuid4().hex[:12]}"
    try:
        command = docker.run_command(flags, container, executable=executable)
    except ValueError as error:
        raise LaunchError(str(error)) from error

    def stop_container() -> None:
        _run_docker(docker.stop_command(container, STOP_SECONDS // 2, executable=executable))

    def ready() -> tuple[str, str] | None:
        rest = _published(container, docker.REST_PORT, executable)
        grpc = _published(container, docker.GRPC_PORT, executable)
        serves = rest and grpc and _serves(f"http://{rest}/v1/models/{flags.model_name}")
        return (rest, grpc) if rest and grpc and serves else None

    with log_file.open("ab") as log:
        start_of_log = log.tell()
        process = _spawn(command, log)
        rest, grpc = _await(process, ready, deadline, flags, log_file, start_of_log, stop_container)
    return RunningServer(
        process,
        rest_url=f"http://{rest}",
        grpc_address=grpc,
        model_name=flags.model_name,
        log_file=log_file,
        before_stop=stop_container,
    )


def _spawn(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    parent = str(Path(__file__).resolve().parents[1])
    paths = [parent, *filter(None, [os.environ.get("PYTHONPATH")])]
    # In a session of its own: ctrl-C at the terminal is for the caller, which then stops the server in an orderly way.
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )


def _await(
    process: subprocess.Popen[bytes],
    ready: Callable[[], Any],
    deadline: float,
    flags: Flags,
    log_file: Path,
    start_of_log: int,
    before_stop: Callable[[], None] = lambda: None,
) -> Any:
    """The first result of `ready` that is not None; on failure the server is ended."""
    started = time.monotonic()

    def failed(problem: str) -> LaunchError:
        return LaunchError(
            f"The server for model {flags.model_name} (base path {flags.model_base_path}) {problem}. "
            f"The end of its log, {log_file}:\n{_tail(log_file, start_of_log)}"
        )

    try:
        while (facts := ready()) is None:
            if process.poll() is not None:
                raise failed(f"ended with status {process.returncode} before it served a version")
            if time.monotonic() > deadline:
                raise failed(f"served no version within {time.monotonic() - started:.0f} s")
            time.sleep(_POLL_SECONDS)
        return facts
    except BaseException:
        before_stop()
        end(process)
        raise


def _run_docker(command: list[str]) -> str:
    """The output of a short docker command; empty if it failed: the container's own log has the reason."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOCKER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout if done.returncode == 0 else ""


def _published(container: str, port: int, executable: str) -> str | None:
    addresses = _run_docker(docker.port_command(container, port, executable=executable)).split()
    return addresses[0] if addresses else None


def _serves(model_url: str) -> bool:
    try:
        response = httpx.get(model_url, timeout=REQUEST_SECONDS, trust_env=False)
        return response.status_code == httpx.codes.OK and available_version(response.json()) is not None
    except (httpx.HTTPError, ValueError):
        return False


def _tail(log_file: Path, start: int) -> str:
    with log_file.open("rb") as log:
        log.seek(max(start, log_file.stat().st_size - _TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:]) or "    (it is empty)"
