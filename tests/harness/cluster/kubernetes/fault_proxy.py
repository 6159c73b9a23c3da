"""A proxy before the API server that has it fail: refusals, broken connections, silent watches, absence."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import math
import os
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Authority
from tests.harness.cluster.machine.namespaces import MACHINE

_UPSTREAM_SECONDS = 330.0
_POLL_SECONDS = 0.05
_HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


@dataclass
class Fault:
    """What happens to the requests that match.

    Args:
      method: of the request.
      path: is found in the request's path and query.
      times: how many requests it meets; the next ones pass.
      status: answers this, and the API server never hears of the request.
      retry_after: seconds for the answer's Retry-After.
      reason: Kubernetes' word for the status.
      message: the answer's.
      reset: breaks the connection.
      after_server: breaks it once the API server has done its work.
      lines: of a watch, lets so many events pass before.
      stall: keeps the connection open and sends nothing more.
      expire: tells that the version is too old, and ends the watch.
      delay: seconds to wait first.
    """

    method: str
    path: re.Pattern[str]
    times: int = 1
    status: int = 0
    retry_after: int | None = None
    reason: str = ""
    message: str = "injected by the tests"
    reset: bool = False
    after_server: bool = False
    lines: int | None = None
    stall: bool = False
    expire: bool = False
    delay: float = 0.0

    def matches(self, method: str, path: str) -> bool:
        """Whether it still waits for a request like this one."""
        return self.times > 0 and self.method == method and bool(self.path.search(path))


@dataclass(frozen=True)
class Seen:
    """A request that came to the proxy."""

    method: str
    path: str
    fault: Fault | None


class FaultProxy:
    """Stands before an API server, with TLS of the same authority. Clients show bearer tokens: it has no certificates.

    Args:
      upstream: the API server's URL.
      authority: of the cluster.
      name: of the proxy's certificate.
    """

    def __init__(self, upstream: str, authority: Authority, name: str = "fault-proxy") -> None:
        target = urllib.parse.urlsplit(upstream)
        self.upstream = (target.hostname or "", target.port or 443)
        self.trust = ssl.create_default_context(cafile=str(authority.certificate))
        self.seen: list[Seen] = []
        self._certificate = authority.issue(name, user=name, hosts=[MACHINE, "localhost", "kubernetes.default.svc"])
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.released = threading.Event()
        self._server: _Server | None = None
        self._port = 0
        self.come_back()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return MACHINE, self._port

    @property
    def url(self) -> str:
        """Where it listens, for a kubeconfig."""
        return f"https://{MACHINE}:{self._port}"

    def refuse(
        self,
        method: str,
        path: str,
        status: int,
        *,
        retry_after: int | None = None,
        reason: str = "",
        message: str = "injected by the tests",
        times: int = 1,
    ) -> None:
        """Answers the next requests with this status."""
        self._add(
            Fault(
                method,
                re.compile(path),
                times,
                status=status,
                retry_after=retry_after,
                reason=reason,
                message=message,
            )
        )

    def reset(self, method: str, path: str, *, times: int = 1, after_server: bool = False) -> None:
        """Breaks the connection of the next requests; with `after_server` what they asked for has been done by then."""
        self._add(Fault(method, re.compile(path), times, reset=True, after_server=after_server))

    def cut_watch(self, path: str, *, lines: int = 0, times: int = 1) -> None:
        """Breaks the next watch after so many events."""
        self._add(Fault("GET", re.compile(f"(?=.*{path}).*watch=", re.IGNORECASE), times, reset=True, lines=lines))

    def stall_watch(self, path: str, *, lines: int = 0, times: int = 1) -> None:
        """Has the next watch go silent after so many events, its connection open."""
        self._add(Fault("GET", re.compile(f"(?=.*{path}).*watch=", re.IGNORECASE), times, stall=True, lines=lines))

    def expire_watch(self, path: str, *, lines: int = 0, times: int = 1) -> None:
        """Ends the next watch after so many events with the news that the server has forgotten its version (410)."""
        self._add(Fault("GET", re.compile(f"(?=.*{path}).*watch=", re.IGNORECASE), times, expire=True, lines=lines))

    def unmet(self) -> list[str]:
        """The faults that still wait for a request: a test that ends with some has not tested them."""
        with self._lock:
            return [f"{fault.method} {fault.path.pattern}" for fault in self._faults if fault.times > 0]

    def delay(self, method: str, path: str, seconds: float, *, times: int = 1) -> None:
        """Lets the next requests wait."""
        self._add(Fault(method, re.compile(path), times, delay=seconds))

    def go_away(self) -> None:
        """The API server does not listen any more, and its connections break."""
        if self._server is not None:
            self._server.end()
            self._server = None

    def come_back(self) -> None:
        """It listens again, on the same port."""
        if self._server is None:
            self._server = _Server((MACHINE, self._port), self, self._certificate)
            self._port = self._server.server_address[1]

    def take_fault(self, method: str, path: str) -> Fault | None:
        """The fault that meets this request, if any."""
        with self._lock:
            fault = next((fault for fault in self._faults if fault.matches(method, path)), None)
            if fault is not None:
                fault.times -= 1
            self.seen.append(Seen(method, path, fault))
            return fault

    def close(self) -> None:
        """Ends it for good."""
        self.released.set()
        self.go_away()

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    server_address: tuple[str, int]

    def __init__(self, address: tuple[str, int], proxy: FaultProxy, certificate: tuple[Path, Path]) -> None:
        super().__init__(address, _Handler)
        self.proxy = proxy
        self.connections: set[socket.socket] = set()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, args=(_POLL_SECONDS,), daemon=True, name="fault proxy").start()

    def end(self) -> None:
        """Stops listening and breaks what is connected."""
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks its connection is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # What waits for the receipt of what went before would be lost with a connection that breaks.
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: `FaultProxy.seen` tells."""

    def _handle(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = proxy.take_fault(self.command, self.path)
        if fault is not None:
            time.sleep(fault.delay)
            if fault.status:
                self._answer(fault.status, *_refusal(fault))
                return
            if fault.reset and not fault.after_server and fault.lines is None:
                self._break()
                return
        upstream = http.client.HTTPSConnection(*proxy.upstream, context=proxy.trust, timeout=_UPSTREAM_SECONDS)
        try:
            headers = {key: value for key, value in self.headers.items() if key.lower() not in _HOP_BY_HOP}
            upstream.request(self.command, self.path, body or None, headers)
            response = upstream.getresponse()
            kept = {key: value for key, value in response.getheaders() if key.lower() not in _HOP_BY_HOP}
            if "watch=" in self.path or "follow=" in self.path:
                self._stream(response, kept, fault)
                return
            answer = response.read()
        except (OSError, http.client.HTTPException):
            self._break()
            return
        finally:
            upstream.close()
        if fault is not None and fault.reset:
            self._break()
            return
        self._answer(response.status, kept, answer)

    do_DELETE = do_GET = do_PATCH = do_POST = do_PUT = _handle  # noqa: N815 (http.server looks them up by these names)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, response: http.client.HTTPResponse, headers: dict[str, str], fault: Fault | None) -> None:
        self.send_response(response.status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left = math.inf if fault is None or fault.lines is None else fault.lines
        while left > 0:
            line = response.readline()
            if not line:
                self.wfile.write(b"0\r\n\r\n")
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            left -= 1
        if fault is not None and fault.expire:
            self._expire()
            return
        if fault is not None and fault.stall:
            self.server.proxy.released.wait()
        self._break()

    def _expire(self) -> None:
        _, status = _refusal(Fault("GET", re.compile(""), status=410, reason="Expired", message="too old a version"))
        line = json.dumps({"type": "ERROR", "object": json.loads(status)}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(line), line))

    def _break(self) -> None:
        """Ends the connection by a reset, in the middle of whatever it is in."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())


def _refusal(fault: Fault) -> tuple[dict[str, str], bytes]:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": fault.reason
        or {429: "TooManyRequests", 503: "ServiceUnavailable"}.get(fault.status, "InternalError"),
        "message": fault.message,
        "code": fault.status,
    }
    headers = {"Content-Type": "application/json"}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    return headers, json.dumps(status).encode()
