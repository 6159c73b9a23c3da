"""A chief that is sent anything: it answers as documented, lives on, and comes back with a search that can be ended."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
import keras_tuner as kt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import record_json
from custom_components.distributed_tuner.rpc import protocol
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here
from tests.custom_components.distributed_tuner.chief_here import ChiefHere
from tests.custom_components.distributed_tuner.quick_bayesian import QuickBayesian

TRIALS = 6
# Besides OK: what is no message of the method; and a result of a trial that the sender never held.
REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


class Threaded(kt.oracles.RandomSearchOracle):
    """To the chief an oracle that somebody wrote, which has a thread of its own."""


def searched() -> kt.HyperParameters:
    """The search space."""
    space = kt.HyperParameters()
    space.Int("units", 1, 100)
    space.Choice("rate", [0.1, 0.01])
    space.Boolean("deep")
    with space.conditional_scope("deep", [True]):
        space.Float("drop", 0.0, 0.5, step=0.1)
    return space


def config(**values: Any) -> dict[str, Any]:
    """A trial's hyperparameters as a worker sends them, with one that it met."""
    space = searched()
    space.Fixed("met", "in the trial")
    space.Float("late", 1e-4, 1.0, sampling="log")
    return {**space.get_config(), "values": {"units": 3, "rate": 0.1, "deep": False, **values}}


WHO = {"worker": st.sampled_from(["a", "b"]), "process": st.sampled_from(["1", "1", "", "2"])}
TRIAL = {"trial_id": st.sampled_from(["0", "0", "1", "1", "2", "7"])}
EPOCHS = {"epochs": st.none() | st.integers(0, 5)}
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "Suggest": {**WHO, "wait_seconds": st.just(0.0)},
    "Finish": {
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
    "Heartbeat": {**WHO, **TRIAL, **EPOCHS},
    "Release": {**WHO, **TRIAL},
    "Renew": WHO,
    "Gone": {**WHO, "reason": st.just("exit code 1"), "fault": st.booleans()},
    "Fail": {**WHO, "message": st.just("boom"), "traceback": st.just("…"), "again": st.just(True)},
    "Space": {},
    "UpdateSpace": {"hyperparameters": st.just(config())},
    "Best": {"count": st.integers(0, 3)},
    "Status": {"revision": st.none()},
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
def changed_inside(draw: st.DrawFn, data: Any) -> Any:
    """The same, but for something at some depth in it: another value, one more, or one less."""
    if not isinstance(data, (dict, list)) or not data or draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    copy = data.copy()
    key = draw(st.sampled_from(sorted(data))) if isinstance(data, dict) else draw(st.integers(0, len(data) - 1))
    if draw(st.integers(0, 9)) == 0:
        del copy[key]
    else:
        copy[key] = draw(changed_inside(data[key]))
    return copy


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, Any]:
    """A method, and a message: a right one, one with a field of another kind, or anything."""
    method = draw(st.sampled_from([*sorted(FIELDS), *["Finish"] * len(FIELDS)]))
    message = {name: draw(values) for name, values in FIELDS[method].items()}
    kind = draw(st.sampled_from(["right", "right", "one field", "one field", "inside", "inside", "anything"]))
    if kind == "inside":
        message |= {"hyperparameters": config()} if "hyperparameters" in message else {}
        return method, draw(changed_inside(message))
    if kind == "one field" and method == "Finish" and draw(st.booleans()):
        message |= {"succeeded": True, "reports": draw(NEARLY_REPORTS), "attempt": None, "hyperparameters": None}
    elif kind == "one field":
        message[draw(st.sampled_from([*message, "more"]))] = draw(JSON)
    return method, draw(JSON) if kind == "anything" else message


@contextlib.contextmanager
def serving(folder: Path, oracle: Callable[..., kt.Oracle]) -> Iterator[ChiefHere]:
    directory = SearchDir(folder)
    directory.create()
    made = oracle(
        objective=kt.Objective("loss", "min"),
        max_trials=TRIALS,
        hyperparameters=searched(),
        seed=1,
        max_consecutive_failed_trials=1_000,
    )
    limits = SearchOptions(max_worker_faults=1_000, max_fruitless_losses=1_000, max_fruitless_releases=1_000)
    with (
        mock.patch.object(protocol, "LONG_POLL_SECONDS", 0.05),
        chief_here.serving(directory, made, "token", limits) as here,
    ):
        yield here


def send(folder: Path, method: str, message: Any) -> grpc.StatusCode:
    """The status that is answered to a message, or to a text that is one already."""
    address = SearchDir(folder).read_address()
    assert address is not None
    metadata = ((protocol.TOKEN_KEY, protocol.bearer("token")),)
    with grpc.insecure_channel(address, options=protocol.CHANNEL_OPTIONS) as channel:
        call = channel.unary_unary(f"/{protocol.SERVICE}/{method}", None, None)
        try:
            body = message if isinstance(message, str) else json.dumps(message)
            call(body.encode(), timeout=60.0, metadata=metadata)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


def status(here: ChiefHere) -> tuple[Any, Any]:
    """The search as a reader finds it, which is checked as it reads it, and its revision."""
    answer = here.client.call("Status", {})
    record_json.record_from_json(json.loads(json.dumps(answer["record"])))
    assert all(isinstance(worker, str) for worker in answer["workers"])
    return answer["record"], answer["revision"]


def end(here: ChiefHere) -> None:
    """Runs all that is left, as a worker of its own."""
    for _ in range(20 * TRIALS):
        answer = here.client.call("Suggest", {"worker": "last", "process": "last"})
        if answer["answer"] == "over" and status(here)[0]["ended"] is not None:
            return
        if answer["answer"] == "trial":
            told = {"worker": "last", "process": "last", "trial_id": answer["trial"]["trial_id"], "succeeded": True}
            here.client.call("Finish", {**told, "reports": [[0, {"loss": 1.0}]]})
        else:
            for worker in "ab":
                here.client.call("Gone", {"worker": worker, "reason": "the test ends", "fault": False})
    raise AssertionError("the search comes to no end")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "oracle", [kt.oracles.RandomSearchOracle, kt.oracles.GridSearchOracle, Threaded, QuickBayesian]
)
@settings(max_examples=15, deadline=None)
@given(sent=st.lists(calls(), min_size=1, max_size=15))
def test_nothing_that_is_sent_hurts_a_chief(oracle: type[kt.Oracle], sent: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder, oracle) as here:
            # Whose results count, then.
            holders = [("Suggest", {"worker": worker, "process": "1", "wait_seconds": 5.0}) for worker in "ab"]
            for method, message in [*holders, *sent]:
                before = status(here)
                code = send(folder, method, message)
                assert code is grpc.StatusCode.OK or code in REFUSED, (method, message, code)
                if code in REFUSED and oracle in (kt.oracles.RandomSearchOracle, kt.oracles.GridSearchOracle):
                    assert status(here) == before, "what was refused has changed something"
            status(here)
        with serving(folder, oracle) as here:
            status(here)
            end(here)
            record, _ = status(here)
            assert record["ended"] is not None and len(record["trials"]) <= TRIALS


def test_what_is_said_of_a_message_reaches_its_sender_whatever_is_in_it(tmp_path: Path) -> None:
    ended = {"worker": "a", "trial_id": "0", "succeeded": True}
    odd = ["\ud800", "\U0001f600" * 1_000_000, "a\nb\x00c"]
    sent = [("Finish", {**ended, "reports": [[0, {name: "much"}]]}) for name in odd]
    sent += [("Heartbeat", {"worker": "a", name: 1}) for name in odd]
    sent += [("Finish", {**ended, "hyperparameters": config(**{name: None})}) for name in odd]
    bodies = [(method, json.dumps(message)) for method, message in sent]
    for depth in range(700, 990, 10):
        deep = "[" * depth + "1" + "]" * depth
        bodies.append(("Stop", f'{{"reason": {deep}}}'))
        bodies.append(("UpdateSpace", f'{{"hyperparameters": {{"space": [], "values": {{"units": {deep}}}}}}}'))
    with serving(tmp_path, kt.oracles.RandomSearchOracle) as here:
        chief_here.ask(here, "a")
        for method, body in bodies:
            assert send(tmp_path, method, body) is grpc.StatusCode.INVALID_ARGUMENT, (method, body[:100])
        status(here)


@pytest.mark.parametrize("oracle", [kt.oracles.RandomSearchOracle, Threaded])
def test_entries_that_an_oracle_does_not_take_up_are_refused_and_the_search_goes_on(
    tmp_path: Path, oracle: Callable[..., kt.Oracle]
) -> None:
    closed = functools.partial(oracle, allow_new_entries=False)
    with serving(tmp_path, closed) as here:
        assert send(tmp_path, "UpdateSpace", {"hyperparameters": config()}) is grpc.StatusCode.FAILED_PRECONDITION
        trial_id = chief_here.ask(here, "a", 5.0)
        assert trial_id is not None
        told = {"worker": "a", "trial_id": trial_id, "succeeded": True, "reports": [[0, {"loss": 1.0}]]}
        assert send(tmp_path, "Finish", {**told, "hyperparameters": config()}) is grpc.StatusCode.OK

        def message() -> Any:
            return status(here)[0]["trials"][0]["message"]

        assert "hyperparameter 'met' is not in the search space" in chief_here.wait_for(message, "the trial has failed")
        end(here)
