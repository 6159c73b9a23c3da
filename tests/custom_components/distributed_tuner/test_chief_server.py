"""What the chief answers to callers without its token, and to messages that are none."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from unittest import mock

import grpc
import keras_tuner as kt
import pytest

from custom_components.distributed_tuner import rpc
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here

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
    options = {**dict(rpc.SERVER_OPTIONS), "grpc.max_receive_message_length": SMALL}
    with (
        mock.patch.object(rpc, "SERVER_OPTIONS", tuple(options.items())),
        chief_here.serving(directory, oracle, TOKEN, SearchOptions()),
    ):
        found = directory.read_address()
        assert found is not None
        yield found


def answered(address: str, token: str | None, body: bytes, method: str = rpc.STATUS) -> tuple[grpc.StatusCode, str]:
    """The status of a call, and what was said with it."""
    metadata = ((rpc.TOKEN_KEY, rpc.bearer(token)),) if token is not None else ()
    with grpc.insecure_channel(address, options=rpc.CHANNEL_OPTIONS) as channel:
        try:
            channel.unary_unary(f"/{rpc.SERVICE}/{method}", None, None)(body, timeout=60.0, metadata=metadata)
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


def test_who_has_the_token_is_answered_and_an_unknown_method_is_told(address: str) -> None:
    assert answered(address, TOKEN, b"{}") == (grpc.StatusCode.OK, "")
    assert answered(address, TOKEN, b"{}", "Nothing")[0] is grpc.StatusCode.UNIMPLEMENTED
