"""A chief that is sent anything: it answers as documented, lives on, and comes back with a search that can be ended."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
import keras_tuner as kt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_components.distributed_tuner import rpc, search_dir
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here
from tests.custom_components.distributed_tuner.chief_here import ChiefHere

TRIALS = 6
# Besides OK: what is no message of the method; and a result of a trial that the sender never held.
REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


class Threaded(kt.oracles.RandomSearchOracle):
    """To the chief an oracle that somebody wrote, which has a thread of its own."""


def config(**values: Any) -> dict[str, Any]:
    """A trial's hyperparameters as a worker sends them."""
    space = kt.HyperParameters()
    space.Int("units", 1, 100)
    return {**space.get_config(), "values": {"units": 3, **values}}


WHO = {"worker": st.sampled_from(["a", "b"]), "process": st.sampled_from(["1", "1", "", "2"])}
TRIAL = {"trial_id": st.sampled_from(["0", "0", "1", "1", "2", "7"])}
EPOCHS = {"epochs": st.none() | st.integers(0, 5)}
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    rpc.SUGGEST: {**WHO, "wait_seconds": st.just(0.0)},
    rpc.FINISH: {
        **WHO,
        **TRIAL,
        **EPOCHS,
        "succeeded": st.booleans(),
        "retry": st.booleans(),
        "next": st.booleans(),
        "attempt": st.none() | st.integers(0, 1),
        "reports": st.just([[0, {"loss": 1.5}]]) | st.just([[0, {"other": 1.5}]]) | st.just([]),
        "message": st.none() | st.just("boom"),
        "hyperparameters": st.none() | st.just(config()) | st.just(config(layers=[64, 32])),
    },
    rpc.HEARTBEAT: {**WHO, **TRIAL, **EPOCHS},
    rpc.RELEASE: {**WHO, **TRIAL},
    rpc.RENEW: WHO,
    rpc.GONE: {**WHO, "reason": st.just("exit code 1"), "fault": st.booleans()},
    rpc.FAIL: {**WHO, "message": st.just("boom"), "traceback": st.just("…"), "again": st.just(True)},
    rpc.SPACE: {},
    rpc.UPDATE_SPACE: {"hyperparameters": st.just(config())},
    rpc.BEST: {"count": st.integers(0, 3)},
    rpc.STATUS: {"revision": st.none()},
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.just(config())
    | st.just({"space": [{"class_name": "Unknown", "config": {}}], "values": {"x": 1}}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


NEARLY_REPORTS = st.lists(
    st.tuples(st.just(0) | JSON, st.dictionaries(st.just("loss"), st.just(1.0) | JSON, min_size=1) | JSON),
    min_size=1,
    max_size=2,
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, Any]:
    """A method, and a message: a right one, one with a field of another kind, or anything."""
    method = draw(st.sampled_from([*sorted(FIELDS), *[rpc.FINISH] * len(FIELDS)]))
    message = {name: draw(values) for name, values in FIELDS[method].items()}
    kind = draw(st.sampled_from(["right", "right", "one field", "one field", "anything"]))
    if kind == "one field" and method == rpc.FINISH and draw(st.booleans()):
        message |= {"succeeded": True, "reports": draw(NEARLY_REPORTS), "attempt": None, "hyperparameters": None}
    elif kind == "one field":
        message[draw(st.sampled_from([*message, "more"]))] = draw(JSON)
    return method, draw(JSON) if kind == "anything" else message


@contextlib.contextmanager
def serving(folder: Path, oracle: type[kt.Oracle]) -> Iterator[ChiefHere]:
    directory = SearchDir(folder)
    directory.create()
    space = kt.HyperParameters()
    space.Int("units", 1, 100)
    made = oracle(
        objective=kt.Objective("loss", "min"),
        max_trials=TRIALS,
        hyperparameters=space,
        seed=1,
        max_consecutive_failed_trials=1_000,
    )
    limits = SearchOptions(max_worker_faults=1_000, max_fruitless_losses=1_000, max_fruitless_releases=1_000)
    with (
        mock.patch.object(rpc, "LONG_POLL_SECONDS", 0.05),
        chief_here.serving(directory, made, "token", limits) as here,
    ):
        yield here


def send(folder: Path, method: str, message: Any) -> grpc.StatusCode:
    address = SearchDir(folder).read_address()
    assert address is not None
    metadata = ((rpc.TOKEN_KEY, rpc.bearer("token")),)
    with grpc.insecure_channel(address, options=rpc.CHANNEL_OPTIONS) as channel:
        call = channel.unary_unary(f"/{rpc.SERVICE}/{method}", None, None)
        try:
            call(json.dumps(message).encode(), timeout=60.0, metadata=metadata)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


def status(here: ChiefHere) -> tuple[Any, Any]:
    """The search as a reader finds it, which is checked as it reads it, and its revision."""
    answer = here.client.call(rpc.STATUS, {})
    search_dir.record_from_json(json.loads(json.dumps(answer["record"])))
    assert all(isinstance(worker, str) for worker in answer["workers"])
    return answer["record"], answer["revision"]


def end(here: ChiefHere) -> None:
    """Runs all that is left, as a worker of its own."""
    for _ in range(20 * TRIALS):
        answer = here.client.call(rpc.SUGGEST, {"worker": "last", "process": "last"})
        if answer["answer"] == "over":
            return
        if answer["answer"] == "trial":
            told = {"worker": "last", "process": "last", "trial_id": answer["trial"]["trial_id"], "succeeded": True}
            here.client.call(rpc.FINISH, {**told, "reports": [[0, {"loss": 1.0}]]})
        else:
            for worker in "ab":
                here.client.call(rpc.GONE, {"worker": worker, "reason": "the test ends", "fault": False})
    raise AssertionError("the search comes to no end")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("oracle", [kt.oracles.RandomSearchOracle, Threaded], ids=["quick", "with a thread"])
@settings(max_examples=25, deadline=None)
@given(sent=st.lists(calls(), min_size=1, max_size=15))
def test_nothing_that_is_sent_hurts_a_chief(oracle: type[kt.Oracle], sent: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder, oracle) as here:
            # Whose results count, then.
            holders = [(rpc.SUGGEST, {"worker": worker, "process": "1", "wait_seconds": 5.0}) for worker in "ab"]
            for method, message in [*holders, *sent]:
                before = status(here)
                code = send(folder, method, message)
                assert code is grpc.StatusCode.OK or code in REFUSED, (method, message, code)
                if code in REFUSED and oracle is not Threaded:
                    assert status(here) == before, "what was refused has changed something"
            status(here)
        with serving(folder, oracle) as here:
            status(here)
            end(here)
            record, _ = status(here)
            assert record["ended"] is not None and len(record["trials"]) <= TRIALS
