"""A server that speaks HTTP like an API server, and does what it is told."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import ssl
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi

Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each request with the next of the server's answers; the last one again and again."""

    protocol_version = "HTTP/1.1"
    server: ApiServer

    def _any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        with self.server.lock:
            self.server.requests.append((self.command, url.path, query, body, self.headers.get("Authorization")))
            answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        answer(self)

    do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class ApiServer(http.server.ThreadingHTTPServer):
    """Listens on a free port of this machine.

    Args:
      answers: to the requests, in their order.
      certificate: path of a file with certificate and key, for TLS.
    """

    daemon_threads = True

    def __init__(self, answers: Sequence[Answer], certificate: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str], Any, str | None]] = []
        self.lock = threading.Lock()
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def api(self, patience_seconds: float = 30.0) -> KubernetesApi:
        """A client of it, with a token that names the number of connections made."""
        connections: list[int] = []

        def connect() -> Any:
            import kubernetes.client

            connections.append(1)
            configuration = kubernetes.client.Configuration()
            configuration.host = f"http://127.0.0.1:{self.server_address[1]}"
            configuration.api_key = {"authorization": f"Bearer token-{len(connections)}"}
            configuration.retries = False
            return kubernetes.client.ApiClient(configuration)

        return KubernetesApi(connect, patience_seconds=patience_seconds)


@contextlib.contextmanager
def serving(*answers: Answer, certificate: str | None = None) -> Iterator[ApiServer]:
    """An `ApiServer` with these answers, while the context lasts."""
    server = ApiServer(answers, certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer."""

    def answer(handler: Handler) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def refuses(code: int, reason: str = "", message: str = "no", headers: Mapping[str, str] | None = None) -> Answer:
    """A `Status` as Kubernetes answers with."""
    return says({"kind": "Status", "code": code, "reason": reason, "message": message}, code, headers)


def resets(handler: Handler) -> None:
    """The connection is reset before any answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def streams(*events: Mapping[str, Any], then: Callable[[Handler], None] | None = None) -> Answer:
    """A watch that tells these events; then it ends well, or as `then` says."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for event in events:
            line = json.dumps(event).encode() + b"\n"
            # Two chunks a line: a reader must not take a chunk for a line.
            for part in (line[:7], line[7:]):
                handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                handler.wfile.flush()
        if then is not None:
            then(handler)
            return
        handler.wfile.write(b"0\r\n\r\n")

    return answer


def stalls(handler: Handler) -> None:
    """Nothing more is heard, until the server ends."""
    handler.rfile.read(1)


def thing(name: str, version: int = 1, **more: Any) -> dict[str, Any]:
    """An object."""
    return {"kind": "Pod", "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}, **more}


def listing(*things: Mapping[str, Any], version: int = 1) -> Answer:
    """The answer to a list."""
    return says({"kind": "PodList", "metadata": {"resourceVersion": str(version)}, "items": list(things)})


def change(kind: str, changed: Mapping[str, Any]) -> dict[str, Any]:
    """An event of a watch."""
    return {"type": kind, "object": changed}
