"""What a message must be, and what is said of one that is not."""

from __future__ import annotations

from typing import Any

import pytest

from custom_components.distributed_tuner.rpc import messages, protocol, schema
from custom_components.distributed_tuner.rpc.schema import InvalidMessage

WHO = {"worker": "w", "process": "7"}
ENDED = {**WHO, "trial_id": "0", "succeeded": True}


def test_what_is_left_out_has_its_default() -> None:
    assert schema.parse(messages.Suggest, {"worker": "w"}) == messages.Suggest("w", "", protocol.LONG_POLL_SECONDS)
    assert schema.parse(messages.Finish, ENDED) == messages.Finish("w", "0", True, process="7")
    assert schema.parse(messages.Status, {}) == messages.Status()


def test_metrics_come_as_they_are_finite_or_not() -> None:
    told = schema.parse(messages.Finish, {**ENDED, "reports": [[3, {"loss": 0.1, "auc": float("nan"), "n": 2}]]})
    ((step, metrics),) = told.reports
    assert step == 3 and metrics["loss"] == 0.1 and metrics["n"] == 2 and metrics["auc"] != metrics["auc"]


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (messages.Suggest, {}, "Suggest: worker is missing"),
        (messages.Suggest, {"worker": None}, "worker is None, not a text"),
        (messages.Suggest, {"worker": ""}, "worker is empty"),
        (messages.Suggest, {"worker": "w" * 2_000}, "worker is 'www"),
        (messages.Suggest, {"worker": "\ud800"}, "worker is"),
        (messages.Suggest, {**WHO, "wait_seconds": "x"}, "wait_seconds is 'x', not a number"),
        (messages.Suggest, {**WHO, "wait_seconds": float("nan")}, "wait_seconds is nan"),
        (messages.Suggest, {**WHO, "wait_seconds": -1.0}, "wait_seconds is -1.0"),
        (messages.Suggest, {**WHO, "speed": 3}, "speed is not known"),
        (messages.Heartbeat, {**WHO, "epochs": "abc"}, "epochs is 'abc', not a whole number"),
        (messages.Heartbeat, {**WHO, "epochs": -1}, "epochs is not a whole number from 0 to"),
        (messages.Heartbeat, {**WHO, "epochs": True}, "epochs is True, not a whole number"),
        (messages.Heartbeat, {**WHO, "epochs": 10**400}, "epochs is 1000"),
        (messages.Finish, {**ENDED, "succeeded": 1}, "succeeded is int, not true or false"),
        (messages.Finish, {**ENDED, "reports": {"loss": 1.0}}, "reports is {'loss': 1.0}, not a list"),
        (messages.Finish, {**ENDED, "reports": [[0]]}, "reports[0] is [0], not a list of 2 values"),
        (messages.Finish, {**ENDED, "reports": [["x", {}]]}, "reports[0][0] is 'x', not a whole number"),
        (messages.Finish, {**ENDED, "reports": [[float("inf"), {}]]}, "reports[0][0] is inf, not a whole number"),
        (messages.Finish, {**ENDED, "reports": [[0, []]]}, "reports[0][1] is [], not an object"),
        (messages.Finish, {**ENDED, "reports": [[0, {"loss": "abc"}]]}, "reports[0][1].loss is 'abc', not a number"),
        (messages.Finish, {**ENDED, "reports": [[0, {"loss": None}]]}, "reports[0][1].loss is None, not a number"),
        (messages.Finish, {**ENDED, "reports": [[0, {"loss": 10**400}]]}, "reports[0][1].loss is 1000"),
        (messages.Finish, {**ENDED, "hyperparameters": [1]}, "hyperparameters is [1], not an object"),
        (messages.Finish, {**ENDED, "message": 3}, "message is 3, not a text"),
        (messages.Release, WHO, "Release: trial_id is missing"),
        (messages.Gone, {**WHO, "reason": None}, "reason is None, not a text"),
        (messages.Fail, {**WHO, "message": "m", "again": "yes"}, "again is str, not true or false"),
        (messages.Best, {"ids": ["0", 1]}, "ids[1] is 1, not a text"),
        (messages.Status, {"revision": ["x"]}, "revision is ['x'], not a list of 2 values"),
        (messages.Stop, {}, "Stop: reason is missing"),
        (messages.Space, {"all": True}, "Space: all is not known"),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(kind: type[Any], data: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        schema.parse(kind, data)
    assert words in str(caught.value) and len(str(caught.value)) < 2_000
