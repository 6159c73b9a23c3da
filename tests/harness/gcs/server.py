"""Cloud Storage on this machine: the calls that TensorFlow's file system and Google's client library make.

The JSON API and reads of the XML API, as the public references describe them, over plain HTTP and, behind CONNECT, over
TLS in the name of Google's hosts. A call that is not known here is answered with 501 and noted in `Server.unknown`.
Nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any

from tests.harness.gcs.objects import NoSuchObject, Objects, PreconditionFailed, StoredObject

HOSTS = ("www.googleapis.com", "storage.googleapis.com")

_PAGE = 1000


@dataclasses.dataclass(frozen=True)
class Request:
    """One call, its path unquoted, as a test sees it."""

    method: str
    path: str


@dataclasses.dataclass
class Fault:
    """What goes wrong with calls.

    Attributes:
      method: of the calls.
      part: of their paths, unquoted; an upload's has the object's name behind it.
      times: how many calls.
      status: they are answered with; None breaks the connection.
      reason: Google's word for the fault.
      after: whether the work is done before that.
      seconds: the calls take longer by this time; with `slow_only` nothing else is wrong with them.
      slow_only: see there.
    """

    method: str = ""
    part: str = ""
    times: int = 1
    status: HTTPStatus | None = None
    reason: str = "backendError"
    after: bool = False
    seconds: float = 0.0
    slow_only: bool = False

    def hits(self, method: str, path: str) -> bool:
        """Whether it is about such a call."""
        return self.times > 0 and self.method in ("", method) and self.part in path


class Server(http.server.ThreadingHTTPServer):
    """Serves `objects`. `requests` has all calls so far, `unknown` those that could not be answered.

    The first of `faults` that is about a call spoils it. `struck` counts the spoilt calls.
    """

    daemon_threads = True

    def __init__(self, objects: Objects, tls: ssl.SSLContext, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self._host = host
        self.objects = objects
        self.tls = tls
        self.requests: list[Request] = []
        self.unknown: list[Request] = []
        self.faults: list[Fault] = []
        self.struck = 0
        self.uploads: dict[str, _Upload] = {}
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens: for plain HTTP, and as a proxy for TLS."""
        return f"http://{self._host}:{self.server_port}"

    def strike(self, method: str, path: str) -> Fault | None:
        """The fault that spoils this call."""
        with self.lock:
            for fault in self.faults:
                if fault.hits(method, path):
                    fault.times -= 1
                    self.struck += 1
                    return fault
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none; anything else is told as usual."""
        with contextlib.suppress(OSError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serving(objects: Objects, tls: ssl.SSLContext, host: str = "127.0.0.1") -> Iterator[Server]:
    """A server that runs within it, on this address."""
    with Server(objects, tls, host) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclasses.dataclass
class _Upload:
    """A resumable upload under way."""

    bucket: str
    name: str
    if_generation: int | None
    data: bytes = b""
    done: StoredObject | None = None


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Spoilt(Exception):
    """The call was answered wrongly, as the test wants it."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer of two packets would wait for the first one's acknowledgement.
    disable_nagle_algorithm = True
    server: Server

    def do_CONNECT(self) -> None:
        """From here on the connection is one to a host of Google's."""
        host = self.path.partition(":")[0]
        if host not in HOSTS:
            self._note(self.server.unknown, self.path)
            self.send_error(HTTPStatus.BAD_GATEWAY, f"{self.path} is not served here")
            return
        self.send_response(HTTPStatus.OK)
        self.end_headers()
        self.connection: socket.socket = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False

    def handle_expect_100(self) -> bool:
        """At once: a client that hears nothing waits a second before it sends its data."""
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def handle_one_request(self) -> None:
        """A client that goes away in the middle ends its connection."""
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def do_GET(self) -> None:
        self._dispatch()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: `Server.requests` has it all."""

    def _note(self, where: list[Request], path: str) -> None:
        with self.server.lock:
            where.append(Request(self.command, urllib.parse.unquote(path)))

    def _dispatch(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        self._query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self._body = self._read_body()
        self._note(self.server.requests, url.path)
        self._fault = self.server.strike(self.command, self._target(url.path))
        with contextlib.suppress(_Spoilt):
            if self._fault is not None:
                time.sleep(self._fault.seconds)
                if not self._fault.after:
                    self._spoil()
            self._answer(url.path)

    def _answer(self, path: str) -> None:
        try:
            for method, pattern, answer in _ROUTES:
                match = re.fullmatch(pattern, path) if method == self.command else None
                if match:
                    answer(self, *map(urllib.parse.unquote, match.groups()))
                    return
            self._note(self.server.unknown, self.path)
            raise _Refused(HTTPStatus.NOT_IMPLEMENTED, f"{self.command} {self.path} is not known here")
        except NoSuchObject as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
        except PreconditionFailed as error:
            self._refuse(HTTPStatus.PRECONDITION_FAILED, str(error))
        except _Refused as error:
            self._refuse(error.status, str(error))

    def _target(self, path: str) -> str:
        """The path, with the object's name, which an upload has elsewhere."""
        name = self._query.get("name", "")
        if self._query.get("uploadType") == "multipart":
            name = json.loads(_parts(self._body)[0])["name"]
        return urllib.parse.unquote(path) + name

    def _spoil(self) -> None:
        fault, self._fault = self._fault, None
        if fault is None or fault.slow_only:
            return
        if fault.status is None:
            raise ConnectionAbortedError
        error = {"code": int(fault.status), "message": "spoilt by the test", "errors": [{"reason": fault.reason}]}
        self._send(fault.status, json.dumps({"error": error}).encode(), Content_Type="application/json; charset=UTF-8")
        raise _Spoilt

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := self._chunk_size():
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _chunk_size(self) -> int:
        line = self.rfile.readline()
        if not line:
            raise ConnectionAbortedError("the client is gone in the middle of an upload")
        return int(line.partition(b";")[0], 16)

    def _send(self, status: HTTPStatus, body: bytes = b"", **headers: str) -> None:
        self._spoil()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_json(self, data: dict[str, Any]) -> None:
        self._send(HTTPStatus.OK, json.dumps(data).encode(), Content_Type="application/json; charset=UTF-8")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        body = json.dumps({"error": {"code": int(status), "message": message}}).encode()
        self._send(status, body, Content_Type="application/json; charset=UTF-8")

    def _if_generation(self) -> int | None:
        value = self._query.get("ifGenerationMatch")
        return int(value) if value is not None else None

    # The calls.

    def _get_bucket(self, bucket: str) -> None:
        if bucket not in self.server.objects.buckets():
            raise NoSuchObject(f"The specified bucket does not exist: {bucket}")
        self._send_json({"kind": "storage#bucket", "name": bucket, "id": bucket, "location": "US"})

    def _list(self, bucket: str) -> None:
        query = self._query
        limit = int(query.get("maxResults") or _PAGE)
        page = self.server.objects.page(
            bucket, query.get("prefix", ""), query.get("delimiter", ""), query.get("pageToken", ""), limit
        )
        answer: dict[str, Any] = {"kind": "storage#objects"}
        if page.objects:
            answer["items"] = [_resource(stored) for stored in page.objects]
        if page.prefixes:
            answer["prefixes"] = list(page.prefixes)
        if page.token is not None:
            answer["nextPageToken"] = page.token
        self._send_json(answer)

    def _get_object(self, bucket: str, name: str) -> None:
        if self._query.get("alt") == "media":
            self._read_object(bucket, name)
        else:
            self._send_json(_resource(self.server.objects.get(bucket, name)))

    def _read_object(self, bucket: str, name: str) -> None:
        stored = self.server.objects.get(bucket, name)
        headers = {"Content_Type": "application/octet-stream", "x_goog_generation": str(stored.generation)}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            self._send(HTTPStatus.OK, stored.data, **headers)
            return
        size, begin = len(stored.data), int(asked[1])
        if begin >= size:
            raise _Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"the object has {size} bytes")
        part = stored.data[begin : int(asked[2]) + 1 if asked[2] else size]
        headers["Content_Range"] = f"bytes {begin}-{begin + len(part) - 1}/{size}"
        self._send(HTTPStatus.PARTIAL_CONTENT, part, **headers)

    def _upload(self, bucket: str) -> None:
        kind, name = self._query["uploadType"], self._query.get("name", "")
        if kind == "resumable":
            name = name or json.loads(self._body)["name"]
            self.server.objects.page(bucket, "", "", "", 1)  # there is no upload to a bucket that is not there
            with self.server.lock:
                key = str(len(self.server.uploads))
                self.server.uploads[key] = _Upload(bucket, name, self._if_generation())
            scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
            self._send(HTTPStatus.OK, Location=f"{scheme}://{self.headers['Host']}/upload/session/{key}")
            return
        data = self._body
        if kind == "multipart":
            about, data = _parts(self._body)
            name = json.loads(about)["name"]
        self._send_json(_resource(self.server.objects.put(bucket, name, data, self._if_generation())))

    def _continue_upload(self, key: str) -> None:
        upload = self.server.uploads[key]
        content = self.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", content)
        if content and not match:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"Content-Range {content!r}")
        first, last = (int(match[1]), int(match[2])) if match and match[1] else (len(upload.data), None)
        if first != len(upload.data) or (last is not None and last + 1 - first != len(self._body)):
            raise _Refused(HTTPStatus.BAD_REQUEST, f"{content!r} does not follow {len(upload.data)} bytes")
        upload.data += self._body
        total = None if match and match[3] == "*" else int(match[3]) if match else len(upload.data)
        if total is not None and len(upload.data) >= total:
            if upload.done is None:
                upload.done = self.server.objects.put(upload.bucket, upload.name, upload.data, upload.if_generation)
            self._send_json(_resource(upload.done))
            return
        if upload.data:
            self._send(HTTPStatus.PERMANENT_REDIRECT, Range=f"bytes=0-{len(upload.data) - 1}")
        else:
            self._send(HTTPStatus.PERMANENT_REDIRECT)

    def _rewrite(self, bucket: str, name: str, to_bucket: str, to_name: str) -> None:
        source = self.server.objects.get(bucket, name)
        copied = self.server.objects.put(to_bucket, to_name, source.data, self._if_generation())
        size = str(len(source.data))
        answer = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
        self._send_json({**answer, "resource": _resource(copied)})

    def _delete(self, bucket: str, name: str) -> None:
        self.server.objects.delete(bucket, name, self._if_generation())
        self._send(HTTPStatus.NO_CONTENT)


_OBJECT = r"/storage/v1/b/([^/]+)/o/([^/]+)"
_ROUTES: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("GET", r"/storage/v1/b/([^/]+)", _Handler._get_bucket),
    ("GET", r"/storage/v1/b/([^/]+)/o", _Handler._list),
    ("GET", _OBJECT, _Handler._get_object),
    ("GET", f"/download{_OBJECT}", _Handler._read_object),
    ("POST", r"/upload/storage/v1/b/([^/]+)/o", _Handler._upload),
    ("PUT", r"/upload/session/(\d+)", _Handler._continue_upload),
    ("POST", _OBJECT + r"/rewriteTo/b/([^/]+)/o/([^/]+)", _Handler._rewrite),
    ("DELETE", _OBJECT, _Handler._delete),
    ("GET", r"/(?!storage/|upload/|download/)([^/]+)/(.+)", _Handler._read_object),
)


def _parts(body: bytes) -> tuple[bytes, bytes]:
    """The two parts of a multipart upload: what the object is, and its bytes."""
    boundary = body.split(b"\r\n", 1)[0]
    about, data = (part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in body.split(boundary)[1:3])
    return about, data


def _resource(stored: StoredObject) -> dict[str, Any]:
    updated = datetime.fromtimestamp(stored.updated, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "kind": "storage#object",
        "id": f"{stored.bucket}/{stored.name}/{stored.generation}",
        "bucket": stored.bucket,
        "name": stored.name,
        "size": str(len(stored.data)),
        "generation": str(stored.generation),
        "metageneration": "1",
        "updated": updated,
        "timeCreated": updated,
        "storageClass": "STANDARD",
    }
