"""Calls to a chief whose answers are spoilt on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from custom_components.distributed_tuner.errors import ChiefRefused
from custom_components.distributed_tuner.rpc import protocol
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Access
from tests.harness.chaos.proxy import Proxy


class Chief:
    """Answers each call, after refusing some with the codes given."""

    def __init__(self, *codes: grpc.StatusCode) -> None:
        self._codes = list(codes)
        self.callers: list[str] = []

    def answer(self, message: dict[str, Any], context: grpc.ServicerContext) -> dict[str, Any]:
        self.callers.append(context.peer())
        if self._codes:
            context.abort(self._codes.pop(0), "Stream removed")
        return {"heard": message}


@contextlib.contextmanager
def proxied() -> Iterator[tuple[Proxy, Callable[[str], str]]]:
    """A proxy, and what puts it before an address: `through` of `client_of`."""
    upstream = ""
    with Proxy(lambda: upstream, seed=0) as proxy:

        def through(address: str) -> str:
            nonlocal upstream
            upstream = address
            return proxy.address

        yield proxy, through


@contextlib.contextmanager
def client_of(chief: Chief, through: Callable[[str], str] = str) -> Iterator[ChiefClient]:
    """A client whose patience is short; `through` makes the address that it calls out of the chief's."""
    handler = grpc.unary_unary_rpc_method_handler(chief.answer, protocol.decode, protocol.encode)
    server = grpc.server(ThreadPoolExecutor(2), options=protocol.SERVER_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(protocol.SERVICE, {"Status": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    address = through(f"127.0.0.1:{port}")
    client = ChiefClient(lambda: address, Access("token"), patience_seconds=30.0)
    try:
        yield client
    finally:
        client.close()
        server.stop(None).wait(20)


def test_a_spoilt_connection_is_replaced_and_the_call_repeated() -> None:
    chief = Chief(grpc.StatusCode.INTERNAL, grpc.StatusCode.INTERNAL)
    with client_of(chief) as client:
        assert client.call("Status", {"x": 1}) == {"heard": {"x": 1}}
    assert len(set(chief.callers)) == len(chief.callers) == 3


def test_a_call_that_finds_no_chief_is_repeated_on_the_same_connection() -> None:
    chief = Chief(grpc.StatusCode.UNAVAILABLE)
    with client_of(chief) as client:
        assert client.call("Status", {}) == {"heard": {}}
    assert len(chief.callers) == 2 and len(set(chief.callers)) == 1


def test_a_connection_that_is_silent_for_ever_is_replaced() -> None:
    chief = Chief()
    with proxied() as (proxy, through), client_of(chief, through) as client:
        client.call("Status", {"n": 0})
        for number in (1, 2):
            proxy.forget()
            assert client.call("Status", {"n": number}, timeout=2.0) == {"heard": {"n": number}}
    assert len(set(chief.callers)) == 3


def test_a_network_that_takes_seconds_to_connect_is_waited_for() -> None:
    chief = Chief()
    with proxied() as (proxy, through):
        proxy.delay(2.0, least=2.0)
        with client_of(chief, through) as client:
            assert client.call("Status", {}, timeout=25.0) == {"heard": {}}
    assert len(chief.callers) == 1


def test_what_the_chief_itself_refuses_is_not_repeated() -> None:
    chief = Chief(grpc.StatusCode.ABORTED)
    with client_of(chief) as client, pytest.raises(ChiefRefused, match="refused Status: ABORTED"):
        client.call("Status", {})
    assert len(chief.callers) == 1


def test_a_message_that_json_cannot_hold_is_not_repeated() -> None:
    chief = Chief()
    with client_of(chief) as client, pytest.raises(ChiefRefused, match="serializing"):
        client.call("Status", {"x": object()})
    assert chief.callers == []
