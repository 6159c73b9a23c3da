"""The running server: both protocols, the polling of the base path, and the shutdown."""

from __future__ import annotations

import json
import logging
import os
import queue
import socket
import sys
import threading
import time
from pathlib import Path

import grpc
import tensorflow as tf

from model_server import descriptors, rpc
from model_server.flags import Flags
from model_server.model import Model
from model_server.rest import api
from model_server.rest.http_server import HttpServer
from model_server.serving import Serving
from model_server.versions import Versions

# How long requests in flight may take to end once the server has been told to stop.
GRACE_SECONDS = 3.0
_START_SECONDS = 10.0

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The server cannot start; the message says why."""


class ModelServer:
    """The threads of one server process. `run` blocks until `request_stop` is called."""

    def __init__(self, flags: Flags, *, started_at: float) -> None:
        """Opens nothing yet.

        Args:
            flags: what to serve, and where.
            started_at: `time.monotonic()` when the process began, for the time to readiness.
        """
        tf.get_logger().setLevel(logging.ERROR)
        # A signal handler may put into a SimpleQueue; setting an Event there can deadlock with the main thread's wait.
        self._stop_requests: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._flags = flags
        self._started_at = started_at
        self._ready = False
        self._grpc_port = 0
        self._rest_port: int | None = None
        self._versions: Versions[Model] = Versions(
            flags.model_name,
            flags.model_base_path,
            Model.load,
            settle_seconds=flags.file_system_poll_wait_seconds,
            on_available=self._on_available,
        )
        self._serving = Serving(flags.model_name, self._versions)
        self._rest_api = api.RestApi(self._serving, max_request_bytes=flags.max_request_bytes)

    def request_stop(self) -> None:
        """Makes `run` return; may be called from any thread or signal handler, any number of times."""
        self._stop_requests.put(None)

    def run(self) -> None:
        """Serves until `request_stop`; then lets requests in flight end, for `GRACE_SECONDS` at most.

        Raises:
            StartError: a port is taken or the address is not this machine's.
        """
        descriptors.raise_limit()
        most = descriptors.connections_each()
        grpc_server = rpc.create_server(
            self._serving,
            max_request_bytes=self._flags.max_request_bytes,
            most_connections=most,
            idle_seconds=self._flags.idle_connection_seconds,
        )
        self._grpc_port = _listen_grpc(grpc_server, self._flags)
        web, web_thread = self._start_rest(most)
        grpc_server.start()
        watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        watcher.start()
        try:
            self._stop_requests.get()
        finally:
            self._stopping.set()
            _log.info("Stopping")
            ended = grpc_server.stop(GRACE_SECONDS)
            if web is not None and web_thread is not None:
                web.should_exit = True
                web_thread.join(GRACE_SECONDS + 1)
            ended.wait(GRACE_SECONDS + 1)
            watcher.join(GRACE_SECONDS)
            if self._flags.ready_file is not None:
                self._flags.ready_file.unlink(missing_ok=True)
        # A REST request is being processed before it has leased the model, and after.
        if cut_off := max(self._versions.in_use, self._rest_api.in_use):
            _log.warning("Ending with %d requests cut off after %.0f s", cut_off, GRACE_SECONDS)
            sys.stderr.flush()
            os._exit(0)  # a thread inside TensorFlow cannot be interrupted, and the interpreter would wait for it
        self._versions.close()
        _log.info("Stopped")

    def _start_rest(self, most: int) -> tuple[HttpServer | None, threading.Thread | None]:
        if self._flags.rest_api_port is None:
            return None, None
        listener = _listen(self._flags.host, self._flags.rest_api_port)
        self._rest_port = listener.getsockname()[1]
        web = HttpServer(
            self._rest_api,
            listener,
            most=most,
            idle_seconds=self._flags.idle_connection_seconds,
            grace_seconds=int(GRACE_SECONDS),
        )
        thread = threading.Thread(target=web.run, name="rest", daemon=True)
        thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not web.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise StartError(f"The REST server did not start within {_START_SECONDS:.0f} s; the log says why")
            time.sleep(0.01)
        return web, thread

    def _watch(self) -> None:
        wait = self._flags.file_system_poll_wait_seconds
        while not self._stopping.is_set():
            try:
                self._versions.poll()
            except Exception:
                _log.exception("A look at %s failed; looking again at the next poll", self._flags.model_base_path)
            if wait == 0:
                return
            self._stopping.wait(wait)

    def _on_available(self, version: int) -> None:
        if self._ready:
            return
        self._ready = True
        seconds = time.monotonic() - self._started_at
        _log.info(
            "Ready after %.1f s: gRPC on %s:%d, REST %s",
            seconds,
            self._flags.host,
            self._grpc_port,
            f"on http://{self._flags.host}:{self._rest_port}" if self._rest_port else "off (no --rest_api_port)",
        )
        if self._flags.ready_file is not None:
            facts = {
                "pid": os.getpid(),
                "host": self._flags.host,
                "grpc_port": self._grpc_port,
                "rest_api_port": self._rest_port,
                "model_name": self._flags.model_name,
                "version": version,
                "seconds_to_ready": round(seconds, 3),
            }
            _write_atomically(self._flags.ready_file, json.dumps(facts) + "\n")


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(
            f"Cannot listen for REST on {host}:{port} ({error.strerror}). Is another server running there? "
            "--rest_api_port=0 picks a free port"
        ) from error
    return listener


def _listen_grpc(server: grpc.Server, flags: Flags) -> int:
    host = f"[{flags.host}]" if ":" in flags.host else flags.host
    problem = ""
    try:
        port = server.add_insecure_port(f"{host}:{flags.port}")
    except RuntimeError as error:
        port, problem = 0, str(error)
    if not port:
        raise StartError(
            f"Cannot listen for gRPC on {host}:{flags.port}. Is another server running there? "
            f"--port=0 picks a free port. {problem}".rstrip()
        )
    return port
