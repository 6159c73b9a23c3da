"""The body of a request: how much of it is read, and how it is unpacked."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.errors import ServingError
from model_server.rest import http_body
from model_server.rest.http_body import Body, Disconnected

LIMIT = 3_000_000


class Client:
    """Sends parts, and then nothing, or goes away."""

    def __init__(self, *parts: bytes, ends: str = "in order") -> None:
        self.left = list(parts)
        self.ends = ends

    async def receive(self) -> MutableMapping[str, Any]:
        if self.left:
            part = self.left.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self.left) or self.ends != "in order"}
        if self.ends == "never":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}


def body(client: Client, **headers: str) -> Body:
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    if not {b"content-length", b"transfer-encoding"} & fields.keys():
        fields[b"transfer-encoding"] = b"chunked"
    return Body(fields.items(), client.receive, LIMIT)


def packed(data: bytes) -> Body:
    made = body(Client(data), content_encoding="gzip")
    asyncio.run(made.read())
    return made


def is_read(made: Body) -> bool:
    return made.all_read  # a function, since its answer changes between two calls


def is_packed(made: Body) -> bool:
    return made.is_packed


def refusal(error_info: pytest.ExceptionInfo[ServingError]) -> tuple[int, str]:
    return error_info.value.http_status, error_info.value.message


def test_a_body_is_read_to_a_size_and_then_to_its_end() -> None:
    client = Client(b"12", b"34", b"56")
    read = body(client)
    assert asyncio.run(read.read_up_to(3)) is False
    assert client.left == [b"56"]
    assert not is_read(read)
    asyncio.run(read.read())
    assert is_read(read)
    assert read.take() == b"123456"
    assert read.take() == b""


def test_a_request_without_a_body_waits_for_none() -> None:
    read = Body([(b"host", b"x")], Client(ends="never").receive, LIMIT)
    assert asyncio.run(read.read_up_to(3)) is True
    assert read.take() == b""


def test_a_length_beyond_the_limit_is_refused_before_anything_is_read() -> None:
    client = Client(b"x")
    with pytest.raises(ServingError) as error_info:
        asyncio.run(body(client, content_length=str(LIMIT + 1)).read_up_to(10))
    assert refusal(error_info) == (
        413,
        "The body has 3000001 bytes, and this server takes 3000000 (--max_request_bytes). Send fewer rows at a time",
    )
    assert client.left


def test_a_body_that_does_not_say_its_length_is_read_to_the_limit_only() -> None:
    client = Client(*[b"x" * 1_000_000] * 9)
    read = body(client)
    with pytest.raises(ServingError, match="The body has more than 3000000 bytes"):
        asyncio.run(read.read())
    assert len(client.left) == 5
    asyncio.run(read.discard())
    assert is_read(read)


def test_what_nobody_wants_is_read_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_body, "_DISCARD_SECONDS", 0.01)
    read = body(Client(b"x", ends="never"))
    asyncio.run(read.discard())
    assert not is_read(read)


def test_a_client_that_waits_for_leave_to_send_is_not_given_it_to_no_purpose() -> None:
    client = Client(b"x")
    asyncio.run(body(client, expect="100-continue").discard())
    assert client.left


def test_a_body_that_does_not_arrive_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_body, "_ARRIVAL_SECONDS", 0.01)
    with pytest.raises(ServingError) as error_info:
        asyncio.run(body(Client(b"x", ends="never")).read())
    assert refusal(error_info) == (408, "The body had not arrived after 0 s")


@pytest.mark.parametrize("what", ["read", "discard"])
def test_a_client_that_goes_away_ends_it(what: str) -> None:
    with pytest.raises(Disconnected):
        asyncio.run(getattr(body(Client(b"x", ends="early")), what)())


def test_an_encoding_other_than_gzip_is_refused() -> None:
    with pytest.raises(ServingError) as error_info:
        asyncio.run(body(Client(b"x"), content_encoding="br").read())
    assert refusal(error_info) == (400, "Content-Encoding br is not known here; send gzip, or the body as it is")
    plain = body(Client(b"x"), content_encoding="identity")
    asyncio.run(plain.read())
    assert plain.take() == b"x"


@given(st.binary(max_size=1000), st.integers(1, 100_000), st.integers(0, 9))
def test_gzip_is_unpacked(data: bytes, times: int, level: int) -> None:
    whole = (data * times)[:LIMIT]
    made = packed(gzip.compress(whole, level, mtime=0))
    assert is_packed(made)
    made.unpack()
    assert not is_packed(made)
    assert made.take() == whole


def test_gzip_that_is_larger_than_it_may_be_stays_packed() -> None:
    made = packed(gzip.compress(b"x" * 2_000_000, mtime=0))
    assert made.unpack_up_to(1_999_999) is False
    assert is_packed(made)
    assert made.unpack_up_to(2_000_000) is True


def test_gzip_beyond_the_limit_is_refused_when_it_is_reached() -> None:
    # A hundred times the limit: unpacked as a whole it would be seen in the time that this takes.
    made = packed(gzip.compress(b"\0" * (100 * LIMIT), 1))
    with pytest.raises(ServingError) as error_info:
        made.unpack()
    assert refusal(error_info)[0] == 413
    assert "more than 3000000 bytes unpacked" in error_info.value.message


def damaged() -> Iterator[tuple[bytes, str]]:
    whole = gzip.compress(b"0123456789" * 100, mtime=0)
    yield whole[:-1], "ends in the middle of its gzip"
    yield whole[:10], "ends in the middle of its gzip"
    yield b"", "ends in the middle of its gzip"
    yield whole + b"x", "goes on after the end of its gzip"
    yield b'{"instances": [1]}', "is not the gzip that its Content-Encoding says"
    yield whole[:-8] + b"\0" + whole[-7:], "is not the gzip that its Content-Encoding says"


@pytest.mark.parametrize(("data", "says"), damaged())
def test_damaged_gzip_is_refused_in_words(data: bytes, says: str) -> None:
    with pytest.raises(ServingError, match=says) as error_info:
        packed(data).unpack()
    assert error_info.value.http_status == 400
