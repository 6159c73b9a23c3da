"""Whether a search is being served at this moment, checked from outside: takes no lock, sends no token."""

from __future__ import annotations

import enum
import socket
import time

from custom_components.distributed_tuner.storage.search_dir import SearchDir

# A chief that was killed is restarted within a few seconds.
_PATIENCE_SECONDS = 4.0
_ATTEMPT_SECONDS = 2.0
_PAUSE_SECONDS = 0.2
_LOOPBACK = "127.0.0.1:"


class Presence(enum.Enum):
    """Whether a search is being served.

    SERVED: a chief answers. ABSENT: none does. UNKNOWN: its chief is, or was, on another machine or in a pod, and
    cannot be asked from here.
    """

    SERVED = "served"
    ABSENT = "absent"
    UNKNOWN = "unknown"


def look(directory: SearchDir, patience_seconds: float = _PATIENCE_SECONDS) -> Presence:
    """Asks whether a chief serves the search in this directory.

    Args:
      directory: the search.
      patience_seconds: how long to wait for a chief that does not answer; it may be restarting.

    Returns:
      What was found.
    """
    until = time.monotonic() + patience_seconds
    while True:
        machine, address = directory.read_machine(), directory.read_address()
        if machine not in (None, socket.gethostname()) or (address and not address.startswith(_LOOPBACK)):
            return Presence.UNKNOWN
        if address and _answers(address, min(_ATTEMPT_SECONDS, patience_seconds)):
            return Presence.SERVED
        if time.monotonic() >= until:
            return Presence.ABSENT
        time.sleep(_PAUSE_SECONDS)


def _answers(address: str, seconds: float) -> bool:
    """Whether a chief answers there: it is recognized by its refusal of a call without a token."""
    # Imported here: looking at a search that has ended, or has no chief address, must not wait for gRPC.
    import grpc

    from custom_components.distributed_tuner.rpc import messages, protocol

    with grpc.insecure_channel(address, options=protocol.CHANNEL_OPTIONS) as channel:
        try:
            ask = channel.unary_unary(
                f"/{protocol.SERVICE}/{messages.Status.method()}",
                request_serializer=protocol.encode,
                response_deserializer=protocol.decode,
            )
            ask({}, timeout=seconds)
        except grpc.RpcError as error:
            return error.code() is grpc.StatusCode.UNAUTHENTICATED
    return False
