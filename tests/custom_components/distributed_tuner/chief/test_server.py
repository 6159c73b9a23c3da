"""What the chief answers to callers without its token, and to messages that are none."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Iterator
from unittest import mock

import grpc
import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.chief import server
from custom_components.distributed_tuner.host import descriptors
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.rpc import messages, protocol
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here
from tests.custom_components.distributed_tuner.chief_here import ChiefHere

SMALL = 1024 * 1024
NO_MESSAGES = {
    b"": "Expecting value",
    b"nonsense": "Expecting value",
    b"\xff": "decode",
    b"[]": "expected a JSON object, got list",
    b'{"a":' * 20_000: "recursion",
}

TOKEN = secrets.token_urlsafe(16)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a chief listens that reads no message of more than SMALL bytes."""
    directory = SearchDir(tmp_path_factory.mktemp("search"))
    directory.create()
    oracle = kt.oracles.RandomSearchOracle(kt.Objective("loss", "min"), max_trials=1)
    options = {**dict(protocol.SERVER_OPTIONS), "grpc.max_receive_message_length": SMALL}
    with (
        mock.patch.object(protocol, "SERVER_OPTIONS", tuple(options.items())),
        chief_here.serving(directory, oracle, TOKEN, SearchOptions()),
    ):
        found = directory.read_address()
        assert found is not None
        yield found


def answered(address: str, token: str | None, body: bytes, method: str = "Status") -> tuple[grpc.StatusCode, str]:
    """The status of a call, and what was said with it."""
    metadata = ((protocol.TOKEN_KEY, protocol.bearer(token)),) if token is not None else ()
    with grpc.insecure_channel(address, options=protocol.CHANNEL_OPTIONS) as channel:
        try:
            channel.unary_unary(f"/{protocol.SERVICE}/{method}", None, None)(body, timeout=60.0, metadata=metadata)
        except grpc.RpcError as error:
            return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1]], ids=["none", "empty", "wrong", "cut short"])
def test_nothing_is_read_of_a_caller_without_the_token(address: str, token: str | None) -> None:
    for body in (b"{}", *NO_MESSAGES, b" " * 20 * SMALL):
        code, words = answered(address, token, body)
        assert code is grpc.StatusCode.UNAUTHENTICATED and "bearer token" in words, (body[:10], code, words)
    assert answered(address, TOKEN, b" " * 20 * SMALL)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED, "it would be read"


@pytest.mark.parametrize("body", NO_MESSAGES, ids=[repr(body[:10]) for body in NO_MESSAGES])
def test_a_message_that_is_none_is_refused_in_words(address: str, body: bytes) -> None:
    code, words = answered(address, TOKEN, body)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words.startswith("the message is no JSON object: ") and NO_MESSAGES[body] in words


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChiefHere]:
    """A chief that serves three connections at a time, and has little patience with silent ones."""
    directory = SearchDir(tmp_path_factory.mktemp("crowded"))
    directory.create()
    oracle = kt.oracles.RandomSearchOracle(kt.Objective("loss", "min"), max_trials=1)
    with (
        mock.patch.object(descriptors, "connections", return_value=3),
        mock.patch.object(server, "_HANDSHAKE_SECONDS", 1.0),
        mock.patch.object(server, "_IDLE_SECONDS", 1.0),
        chief_here.serving(directory, oracle, TOKEN, SearchOptions(heartbeat_seconds=0.1)) as here,
    ):
        here.client.call("Status", {})
        yield here


def reach(here: ChiefHere, words: bytes = b"") -> socket.socket:
    """A connection on which nothing is said but these words."""
    made = socket.create_connection(("127.0.0.1", here.port))
    made.settimeout(30.0)
    made.sendall(words)
    return made


def closed(made: socket.socket) -> bool:
    """Whether the other side ends the connection, in whatever way, before the time-out."""
    with contextlib.closing(made), contextlib.suppress(ConnectionError):
        while made.recv(4096):
            pass
    return True


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("words", [b"", PREFACE], ids=["no word", "no call"])
def test_who_calls_nothing_is_cut_off_and_one_too_many_turned_away(crowded: ChiefHere, words: bytes) -> None:
    """The client's own connection is one, and may have to be made again."""
    made = [reach(crowded, words) for _ in range(8)]
    assert all(map(closed, made))
    assert crowded.client.ask(messages.Status()).over is False


def test_a_call_that_is_open_is_no_silence(crowded: ChiefHere, caplog: pytest.LogCaptureFixture) -> None:
    trial = chief_here.ask(crowded, "worker-0")
    assert trial is not None
    began = time.monotonic()
    # Nothing is left to hand out: the question is held open, for longer than a silence may last.
    assert chief_here.ask(crowded, "worker-1", wait_seconds=3.0) is None
    assert time.monotonic() - began >= 3.0
    assert "no answer, trying again" not in caplog.text


def test_a_connection_that_was_cut_off_is_made_again_without_a_word(
    crowded: ChiefHere, caplog: pytest.LogCaptureFixture
) -> None:
    with reach(crowded, PREFACE) as beside:
        crowded.client.call("Status", {})
        # The client's connection was silent as long when this one ends.
        assert closed(beside)
    with caplog.at_level(logging.INFO):
        crowded.client.call("Status", {})
    assert "no answer" not in caplog.text


def test_who_has_the_token_is_answered_and_an_unknown_method_is_told(address: str) -> None:
    assert answered(address, TOKEN, b"{}") == (grpc.StatusCode.OK, "")
    assert answered(address, TOKEN, b"{}", "Nothing")[0] is grpc.StatusCode.UNIMPLEMENTED
