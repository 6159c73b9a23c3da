"""The chief's own gRPC service: JSON in, JSON out.

keras-tuner's protocol carries numbers as float32, drops the message of a failed trial, and has no place for heartbeats
and progress; see docs/search.md. The service's name, sizes and the bearer token are here, for both sides; the calls are
in `messages`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner import encoding

SERVICE = "distributed_tuner.Search"

# A record of thousands of trials exceeds gRPC's default of 4 MiB.
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
# The most that one message carries of a list of unlimited size, except for a larger first item.
PORTION_BYTES = 16 * 1024 * 1024
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Despite its name, this is the connect timeout: on a busy machine TLS needs seconds.
    ("grpc.min_reconnect_backoff_ms", 10_000),
    # A channel that replaces another must not reuse its connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)
# Only one chief may listen on a port.
SERVER_OPTIONS = (*CHANNEL_OPTIONS, ("grpc.so_reuseport", 0))

TOKEN_KEY = "authorization"

# How long an idle worker's request is held open before it is told to ask again.
LONG_POLL_SECONDS = 15.0


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as bytes."""
    return encoding.dumps(message).encode()


def decode(data: bytes) -> dict[str, Any]:
    """Undoes `encode`.

    Raises:
      ValueError: the bytes are not a JSON object.
    """
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError(f"expected a JSON object, got {type(message).__name__}")
    return message


def bearer(token: str) -> str:
    """The value of the metadata key `TOKEN_KEY`."""
    return f"Bearer {token}"
