"""The command line: tensorflow_model_server's flags, with its names and defaults, and a few of our own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_GRPC_PORT = 8500
DEFAULT_MODEL_NAME = "default"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_POLL_SECONDS = 1.0
# The limit to which TensorFlow Serving decompresses a body.
DEFAULT_MAX_REQUEST_BYTES = 100 * 1024 * 1024
# Longer than a client is likely to keep an idle connection: the side that closes first should be the client, or a
# request can meet a closing connection.
DEFAULT_IDLE_CONNECTION_SECONDS = 75.0

_DESCRIPTION = """Serves a SavedModel over TensorFlow Serving's REST and gRPC APIs. For development only: no
authentication, no batching, one model. Use tensorflow/serving in production."""


@dataclass(frozen=True)
class Flags:
    """The server's options.

    Attributes:
        model_base_path: the directory that holds one numeric directory per version.
        model_name: the name in the URL.
        port: the gRPC port; 0 picks a free one.
        rest_api_port: the REST port; 0 picks a free one, None serves no REST.
        file_system_poll_wait_seconds: seconds between two scans of the base path; 0 scans once.
        host: the address to listen on.
        ready_file: where to write the chosen ports, as JSON, once a version is served.
        stop_when_stdin_closes: end when the process that started the server is gone.
        max_request_bytes: the limit for a request, both as sent and decompressed.
        idle_connection_seconds: how long a connection may stay open without a request.
    """

    model_base_path: Path
    model_name: str = DEFAULT_MODEL_NAME
    port: int = DEFAULT_GRPC_PORT
    rest_api_port: int | None = None
    file_system_poll_wait_seconds: float = DEFAULT_POLL_SECONDS
    host: str = DEFAULT_HOST
    ready_file: Path | None = None
    stop_when_stdin_closes: bool = False
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES
    idle_connection_seconds: float = DEFAULT_IDLE_CONNECTION_SECONDS


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 (any free port) to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return seconds


def _positive_seconds(text: str) -> float:
    seconds = _seconds(text)
    if seconds == 0:
        raise argparse.ArgumentTypeError("0 seconds would close every connection before its first request")
    return seconds


def _bytes(text: str) -> int:
    # gRPC's own limit is a 32-bit number.
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1024 <= int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from 1024 to 2147483647")
    return int(text)


def _name(text: str) -> str:
    if not text or set(text) & set("/:"):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be a model's name: it must not be empty nor have '/' or ':'")
    return text


def parse(arguments: Sequence[str]) -> Flags:
    """Parses `--flag=value` and `--flag value`; on a wrong flag, prints a message and exits with status 2."""
    parser = argparse.ArgumentParser(prog="python -m model_server", description=_DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    add(
        "--port",
        type=_port,
        default=DEFAULT_GRPC_PORT,
        help="port of the gRPC API (default: %(default)s). 0 picks a free one; TensorFlow Serving turns gRPC off then",
    )
    add(
        "--rest_api_port",
        type=_port,
        default=None,
        help="port of the REST API. Not served if the flag is absent. 0 picks a free one; TensorFlow Serving turns "
        "REST off then",
    )
    add("--model_name", type=_name, default=DEFAULT_MODEL_NAME, help="name of the model (default: %(default)s)")
    add(
        "--model_base_path",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory with one numeric directory per version; it may be empty or absent as yet",
    )
    add(
        "--file_system_poll_wait_seconds",
        type=_seconds,
        default=DEFAULT_POLL_SECONDS,
        metavar="SECONDS",
        help="seconds between two looks for new versions (default: %(default)s); 0 looks exactly once",
    )
    own = parser.add_argument_group("flags that tensorflow_model_server does not have")
    own.add_argument("--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s)")
    own.add_argument(
        "--ready_file",
        type=Path,
        default=None,
        metavar="FILE",
        help="write the ports and the version as JSON to this file once a version is served",
    )
    own.add_argument(
        "--stop_when_stdin_closes",
        action="store_true",
        help="end when standard input closes, that is when the process that holds its other end is gone",
    )
    own.add_argument(
        "--max_request_bytes",
        type=_bytes,
        default=DEFAULT_MAX_REQUEST_BYTES,
        metavar="BYTES",
        help="the largest request, compressed and unpacked (default: %(default)s)",
    )
    own.add_argument(
        "--idle_connection_seconds",
        type=_positive_seconds,
        default=DEFAULT_IDLE_CONNECTION_SECONDS,
        metavar="SECONDS",
        help="close a connection that has had no request for so long (default: %(default)s)",
    )
    flags = Flags(**vars(parser.parse_args(arguments)))
    if flags.ready_file is not None and not flags.ready_file.parent.is_dir():
        parser.error(f"argument --ready_file: there is no directory {flags.ready_file.parent}")
    if flags.port and flags.port == flags.rest_api_port:
        parser.error(f"arguments --port and --rest_api_port: both are {flags.port}; they must differ")
    return flags
