"""A mirror of a collection, whatever happens to its watch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError
from custom_components.distributed_tuner.cluster.kube.api.mirror import Mirror
from tests.custom_components.distributed_tuner.cluster.kube.api_server import (
    Answer,
    ApiServer,
    Handler,
    change,
    listing,
    refuses,
    resets,
    says,
    serving,
    stalls,
    streams,
    thing,
)

PATH = "/api/v1/namespaces/ml/pods"


@contextlib.contextmanager
def mirrored(
    *answers: Answer, stall_seconds: float = 20.0, refusal_seconds: float = 0.0
) -> Iterator[tuple[ApiServer, Mirror]]:
    with serving(*answers, streams(then=stalls)) as server:
        mirror = Mirror(
            server.api(),
            PATH,
            "search=s",
            watch_seconds=5,
            stall_seconds=stall_seconds,
            refusal_seconds=refusal_seconds,
        )
        mirror.start()
        try:
            yield server, mirror
        finally:
            mirror.stop()


def until(what: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not what():
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.02)


def names(mirror: Mirror) -> list[str]:
    return sorted(item["metadata"]["name"] for item in mirror.objects())


def test_what_is_listed_is_there_at_once_and_changes_follow() -> None:
    changes = [
        change("ADDED", thing("b", 2)),
        change("MODIFIED", thing("a", 3, spec=1)),
        change("DELETED", thing("b", 4)),
    ]
    with mirrored(listing(thing("a")), streams(*changes)) as (server, mirror):
        assert names(mirror) == ["a"]
        until(lambda: len(server.requests) >= 3)
        (only,) = mirror.objects()
        assert only["spec"] == 1
        # It goes on from where the watch ended.
        assert [request[2].get("resourceVersion") for request in server.requests[:3]] == [None, "1", "4"]
        assert all(request[2]["labelSelector"] == "search=s" for request in server.requests)
        assert [gone["metadata"]["resourceVersion"] for gone in mirror.departed()] == ["4"]
        assert mirror.departed() == []


@pytest.mark.parametrize("trouble", [resets, refuses(503), refuses(429, headers={"Retry-After": "0.05"}), refuses(500)])
def test_a_watch_that_breaks_is_taken_up_where_it_was(trouble: Answer) -> None:
    with mirrored(listing(version=5), trouble, trouble, streams(change("ADDED", thing("a", 6)), then=stalls)) as (
        server,
        mirror,
    ):
        until(lambda: names(mirror) == ["a"])
        assert [request[2].get("resourceVersion") for request in server.requests] == [None, "5", "5", "5"]


def test_a_bookmark_moves_on() -> None:
    with mirrored(listing(), streams(change("BOOKMARK", {"metadata": {"resourceVersion": "9"}}))) as (server, mirror):
        until(lambda: len(server.requests) >= 3)
        assert server.requests[2][2]["resourceVersion"] == "9" and names(mirror) == []


def test_a_server_that_has_forgotten_is_asked_for_everything() -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    for answer in (streams(change("ERROR", gone)), refuses(410, "Expired")):
        with mirrored(listing(thing("a")), answer, listing(thing("b"), version=7)) as (server, mirror):
            until(lambda mirror=mirror: names(mirror) == ["b"])  # type: ignore[misc]
            until(lambda server=server: len(server.requests) >= 4)  # type: ignore[misc]
            assert server.requests[3][2]["resourceVersion"] == "7"


def test_a_watch_that_stalls_is_given_up() -> None:
    with mirrored(
        listing(), streams(then=stalls), streams(change("ADDED", thing("a", 2)), then=stalls), stall_seconds=0.5
    ) as (
        _,
        mirror,
    ):
        until(lambda: names(mirror) == ["a"])


def test_a_refusal_is_passed_on_until_it_is_over() -> None:
    allowed = streams(change("ADDED", thing("a", 2)), then=stalls)
    with mirrored(listing(), refuses(403, "Forbidden", "may not watch"), allowed) as (_, mirror):

        def refused() -> bool:
            try:
                mirror.objects()
            except ApiError as error:
                return "may not watch" in str(error)
            return False

        until(refused)
        until(lambda: not refused() and names(mirror) == ["a"])


def test_a_server_that_has_just_started_may_refuse_for_a_while() -> None:
    allowed = streams(change("ADDED", thing("a", 2)), then=stalls)
    refusal = refuses(403, "Forbidden", "may not watch")
    with mirrored(listing(), refusal, refusal, allowed, refusal_seconds=60.0) as (_, mirror):
        until(lambda: names(mirror) == ["a"])  # names() would have raised


def test_silence_grows_while_the_server_is_away() -> None:
    now = [100.0]
    with serving(listing(), refuses(503)) as server:
        mirror = Mirror(server.api(), PATH, "search=s", clock=lambda: now[0])
        mirror.start()
        until(lambda: len(server.requests) >= 3)
        now[0] += 90.0
        assert mirror.silence() == 90.0
        mirror.stop()


def test_a_client_that_the_server_does_not_know_for_a_while_is_no_refusal() -> None:
    unknown = refuses(401, "Unauthorized", "who is that?")
    with mirrored(listing(thing("a")), *[unknown] * 6, streams(change("ADDED", thing("b", 2)), then=stalls)) as (
        server,
        mirror,
    ):
        until(lambda: "who is that?" in mirror.trouble() or len(server.requests) >= 8)
        until(lambda: names(mirror) == ["a", "b"])  # names() would have raised
        assert mirror.trouble() == ""


def says_lines(*lines: str) -> Answer:
    """A watch that holds these lines, whatever they are."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        data = "".join(f"{line}\n" for line in lines).encode()
        handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n")

    return answer


@pytest.mark.parametrize(
    "odd",
    [
        says_lines("<html>sign in</html>"),
        says_lines("[]"),
        says_lines('"text"'),
        says_lines('{"type": "ADDED"}'),
        says_lines('{"type": "ADDED", "object": null}'),
        says_lines('{"type": "ADDED", "object": {"metadata": {}}}'),
        says_lines('{"type": "ADDED", "object": {"metadata": {"resourceVersion": "2"}}}'),
        says_lines('{"type": "ERROR", "object": "gone"}'),
        says_lines('{"type": "ERROR", "object": {"code": "410"}}'),
        says("<html>sign in</html>"),
    ],
)
def test_the_watch_goes_on_whatever_the_server_sends(odd: Answer) -> None:
    watches = [odd, odd, streams(change("ADDED", thing("b", 7)), then=stalls)]

    def answer(handler: Handler) -> None:
        if "watch=true" in handler.path:
            (watches.pop(0) if len(watches) > 1 else watches[0])(handler)
        else:
            listing(thing("a"))(handler)

    troubles: set[str] = set()

    def seen() -> bool:
        troubles.add(mirror.trouble())
        return names(mirror) == ["a", "b"]

    with serving(answer) as server:
        mirror = Mirror(server.api(), PATH, "search=s")
        mirror.start()
        until(seen)
        mirror.stop()
    assert troubles - {""}, "what was wrong is told meanwhile"


def test_the_first_list_tells_what_is_wrong() -> None:
    with serving(refuses(403, "Forbidden", "no list")) as server, pytest.raises(ApiError, match="no list"):
        Mirror(server.api(), PATH, "search=s").start()
