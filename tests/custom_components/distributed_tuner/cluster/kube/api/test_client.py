"""The client of the API server against one that is busy, away, forgetful or silent."""

from __future__ import annotations

import socket

import pytest

from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError, ApiUnavailable
from tests.custom_components.distributed_tuner.cluster.kube.api_server import (
    Answer,
    change,
    refuses,
    resets,
    says,
    serving,
    stalls,
    streams,
    thing,
)

PATH = "/api/v1/namespaces/ml/pods"


@pytest.mark.parametrize(
    "trouble",
    [
        refuses(429),
        refuses(429, headers={"Retry-After": "0.01"}),
        refuses(503),
        refuses(500),
        says("<html>", 502),
        refuses(409, "Conflict", "the object has been modified; please try again"),
        refuses(404, "NotFound", "the server could not find the requested resource"),
        resets,
    ],
)
def test_trouble_that_passes_is_waited_out(trouble: Answer) -> None:
    with serving(trouble, trouble, says(thing("a"))) as server:
        assert server.api().get(f"{PATH}/a")["metadata"]["name"] == "a"
        assert len(server.requests) == 3


def test_the_pause_is_as_long_as_the_server_asks() -> None:
    asked: list[float] = []
    with serving(refuses(429, headers={"Retry-After": "7"})) as server:
        with pytest.raises(ApiError) as error:
            server.api(patience_seconds=0.0).get(PATH)
        asked.append(error.value.retry_after or 0.0)
    assert asked == [7.0]


@pytest.mark.parametrize("code", [400, 403, 404, 409, 422])
def test_a_plain_refusal_is_told_at_once(code: int) -> None:
    with serving(refuses(code, "Reason", "words")) as server:
        with pytest.raises(ApiError, match="words") as error:
            server.api().get(PATH)
        assert (error.value.code, error.value.reason, len(server.requests)) == (code, "Reason", 1)


def test_that_a_request_is_tried_again_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with serving(refuses(503), refuses(429), resets, says(thing("a"))) as server:
        server.api(patience_seconds=20.0).get(PATH)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("trying again, for up to 20 s: the API server refused (GET")


def test_patience_ends() -> None:
    with serving(refuses(503, "", "restarting")) as server, pytest.raises(ApiError, match="restarting"):
        server.api(patience_seconds=0.5).get(PATH)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
    with pytest.raises(ApiUnavailable, match="does not answer GET"):
        server.api(patience_seconds=0.5).get(PATH)


def test_expired_credentials_are_renewed_once() -> None:
    with serving(refuses(401, "Unauthorized"), says(thing("a"))) as server:
        server.api().get(PATH)
        assert [request[4] for request in server.requests] == ["Bearer token-1", "Bearer token-2"]
    with serving(refuses(401, "Unauthorized")) as server:
        with pytest.raises(ApiError, match="does not know this client"):
            server.api().get(PATH)
        assert len(server.requests) == 2


def test_a_client_that_was_known_is_so_again_when_its_new_token_is_there() -> None:
    unknown = refuses(401, "Unauthorized")
    with serving(says(thing("a")), unknown, unknown, unknown, unknown, says(thing("b"))) as server:
        api = server.api()
        api.get(PATH)
        assert api.get(PATH)["metadata"]["name"] == "b"
    with serving(says(thing("a")), unknown) as server:
        api = server.api(patience_seconds=0.5)
        api.get(PATH)
        with pytest.raises(ApiError, match="does not know this client"):
            api.get(PATH)


def test_manifests_are_validated_strictly() -> None:
    with serving(says(thing("a"))) as server:
        server.api().create(PATH, {"kind": "Pod"})
        server.api().patch(f"{PATH}/a", {"spec": {}})
        assert [(method, query, body) for method, _, query, body, _ in server.requests] == [
            ("POST", {"fieldValidation": "Strict"}, {"kind": "Pod"}),
            ("PATCH", {"fieldValidation": "Strict"}, {"spec": {}}),
        ]


@pytest.mark.parametrize("code", [200, 401, 403, 404])
def test_a_page_that_is_no_answer_of_an_api_server_is_told_in_one_line(code: int) -> None:
    page = "<!DOCTYPE html>\n<html><head><style>a {}</style></head>\n<h1>Sign&nbsp;in</h1> now\n<script>x()</script>"
    with serving(says(page, code)) as server:
        with pytest.raises(ApiUnavailable) as refusal:
            server.api().get(PATH)
        assert len(server.requests) == (2 if code == 401 else 1)
    told = str(refusal.value)
    assert "is no API server" in told and "a page that says 'Sign in now'" in told and f"GET {PATH}" in told
    assert "<" not in told and "\n" not in told and ("status" not in told if code == 200 else f"status {code}" in told)


def test_an_answer_that_is_neither_json_nor_a_page_is_told() -> None:
    with serving(says("hello")) as server, pytest.raises(ApiUnavailable, match="it sends 'hello', not JSON"):
        server.api().get(PATH)


def test_a_load_balancers_page_while_the_server_is_away_is_told_without_its_tags() -> None:
    with serving(says("<html><h1>Bad Gateway</h1>", 502)) as server, pytest.raises(ApiError) as refusal:
        server.api().get(PATH, patience_seconds=0.0)
    assert refusal.value.code == 502 and refusal.value.message == "Bad Gateway"


def test_a_proxys_page_before_a_server_that_is_known_passes() -> None:
    page = says("<html>")
    with serving(says(thing("a")), page, page, says(thing("a", 2))) as server:
        api = server.api()
        assert [api.get(PATH)["metadata"]["resourceVersion"] for _ in range(2)] == ["1", "2"]


def test_deleting_what_is_gone_is_done() -> None:
    other = refuses(409, "Conflict", "Precondition failed: UID in precondition: x, UID in object meta: y")
    with serving(refuses(404, "NotFound"), other, other) as server:
        api = server.api()
        api.delete(f"{PATH}/a", grace_seconds=0)
        api.delete(f"{PATH}/a", uid="another")
        with pytest.raises(ApiError):
            api.delete(f"{PATH}/a")
        assert server.requests[0][3]["gracePeriodSeconds"] == 0
        assert server.requests[1][3]["preconditions"] == {"uid": "another"}


def test_a_watch_tells_changes_and_ends_with_the_server() -> None:
    with serving(streams(change("ADDED", thing("a")), change("DELETED", thing("a", 2)))) as server:
        told = list(server.api().watch(PATH, seconds=5, stall_seconds=20.0, resourceVersion="1"))
        assert [(kind, changed["metadata"]["resourceVersion"]) for kind, changed in told] == [
            ("ADDED", "1"),
            ("DELETED", "2"),
        ]
        query = server.requests[0][2]
        assert query["watch"] == "true" and query["resourceVersion"] == "1" and query["timeoutSeconds"] == "5"


def test_a_watch_that_broke_stalled_or_is_forgotten_says_which() -> None:
    with serving(streams(change("ADDED", thing("a")), then=resets)) as server, pytest.raises(ApiUnavailable):
        list(server.api().watch(PATH, seconds=5, stall_seconds=20.0))
    with serving(streams(change("ADDED", thing("a")), then=stalls)) as server, pytest.raises(ApiUnavailable):
        list(server.api().watch(PATH, seconds=5, stall_seconds=0.5))
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    with serving(streams(change("ERROR", gone))) as server, pytest.raises(ApiError) as error:
        list(server.api().watch(PATH, seconds=5, stall_seconds=20.0))
    assert error.value.code == 410
