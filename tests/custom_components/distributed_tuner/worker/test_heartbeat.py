"""The worker's side of its lease."""

from __future__ import annotations

import threading

import pytest

from custom_components.distributed_tuner.errors import ChiefRefused, ExitCode
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.study.answers import Directive
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial
from custom_components.distributed_tuner.worker.heartbeat import Heartbeat


class Chief:
    """Refuses the first heartbeat and takes the trial away with the second one."""

    def __init__(self) -> None:
        self.calls = 0
        self.thrice = threading.Event()

    def ask(self, beat: messages.Heartbeat, **limits: float) -> messages.Orders:
        if beat.trial_id is None:
            return messages.Orders(Directive.CONTINUE)
        assert beat.trial_id == "0"
        self.calls += 1
        if self.calls == 1:
            raise ChiefRefused("the chief refused Heartbeat")
        if self.calls == 3:
            self.thrice.set()
        return messages.Orders(Directive.ABANDON, "somebody else has it")


class Beating:
    """A heartbeat, and with what code it let its process end."""

    def __init__(self, chief: Chief, current: CurrentTrial, *, grace_seconds: float) -> None:
        self.code: int | None = None
        self.left = threading.Event()
        self.heartbeat = Heartbeat(
            chief,  # type: ignore[arg-type]
            "a",
            "1",
            current,
            every_seconds=0.01,
            lease_seconds=60.0,
            grace_seconds=grace_seconds,
            leave=self._leave,
        )

    def __enter__(self) -> Beating:
        self.heartbeat.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.heartbeat.stop()

    def _leave(self, code: int) -> None:
        self.code = code
        self.left.set()


def test_a_refused_heartbeat_is_followed_by_others() -> None:
    chief, current = Chief(), CurrentTrial()
    current.begin("0", 0)
    with Beating(chief, current, grace_seconds=60.0) as beating:
        assert chief.thrice.wait(60.0)
        assert beating.heartbeat.orders() == (Directive.ABANDON, "somebody else has it")
        assert not beating.left.is_set()


def test_what_was_said_of_a_trial_does_not_hold_for_its_next_attempt() -> None:
    chief, current = Chief(), CurrentTrial()
    current.begin("0", 0)
    with Beating(chief, current, grace_seconds=60.0) as beating:
        assert chief.thrice.wait(60.0)
        assert beating.heartbeat.orders()[0] is Directive.ABANDON
        beating.heartbeat.stop()
        current.end()
        current.begin("0", 1)
        assert beating.heartbeat.orders() == (Directive.CONTINUE, "")


@pytest.mark.parametrize("begun", [True, False])
def test_a_worker_that_keeps_a_trial_that_was_taken_away_ends(begun: bool) -> None:
    chief, current = Chief(), CurrentTrial()
    current.promise("0")
    if begun:
        current.begin("0", 0)
    with Beating(chief, current, grace_seconds=0.05) as beating:
        assert beating.left.wait(60.0)
        assert beating.code == ExitCode.ABANDONED


def test_a_trial_that_ends_in_time_keeps_its_worker() -> None:
    chief, current = Chief(), CurrentTrial()
    current.begin("0", 0)
    with Beating(chief, current, grace_seconds=3.0) as beating:
        assert chief.thrice.wait(60.0)
        current.end()
        # Longer than the grace: were the trial not let go of, the worker would be gone by then.
        assert not beating.left.wait(4.0)
