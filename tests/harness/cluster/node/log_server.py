"""The part of a kubelet's own API that `kubectl logs` needs."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.harness.cluster.machine.namespaces import MACHINE

_POLL_SECONDS = 0.1
_BLOCK = 65536

#: (namespace, pod, container, previous) to the log's file and whether it is complete; None if there is none.
FindLog = Callable[[str, str, str, bool], "tuple[Path, Callable[[], bool]] | None"]


class LogServer:
    """Serves the containers' logs to the API server, and to nobody else.

    Args:
      find: where a log is.
      certificate: the server's certificate and key.
      authority: signed the certificates of those who may ask.
    """

    def __init__(self, find: FindLog, certificate: tuple[Path, Path], authority: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED

        class Handler(_Handler):
            find_log = staticmethod(find)

        self._server = http.server.ThreadingHTTPServer((MACHINE, 0), Handler)
        self._server.daemon_threads = True
        # The handshake belongs to the thread of the request, not to the one that accepts.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    find_log: FindLog

    def do_GET(self) -> None:
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        parts = address.path.split("/")
        found = None
        if len(parts) == 5 and parts[1] == "containerLogs":
            found = self.find_log(parts[2], parts[3], parts[4], query.get("previous") == "true")
        if found is None:
            self.send_error(404, "no such log")
            return
        path, complete = found
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        left = int(query["limitBytes"]) if "limitBytes" in query else None
        for block in _blocks(path, query, complete):
            part = block if left is None else block[:left]
            try:
                self.wfile.write(part)
            except OSError:
                return
            if left is not None:
                left -= len(part)
                if left <= 0:
                    return

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the tests' output is not a server's log."""


def _blocks(path: Path, query: dict[str, str], complete: Callable[[], bool]) -> Iterator[bytes]:
    with path.open("rb") as file:
        if "tailLines" in query:
            lines = file.read().splitlines(keepends=True)
            yield b"".join(lines[len(lines) - min(len(lines), int(query["tailLines"])) :])
        while True:
            last = complete()
            block = file.read(_BLOCK)
            if block:
                yield block
            elif query.get("follow") != "true" or last:
                return
            else:
                time.sleep(_POLL_SECONDS)
