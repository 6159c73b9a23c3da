"""The worker's side of its lease."""

from __future__ import annotations

import threading
from typing import Any

from custom_components.distributed_tuner import rpc
from custom_components.distributed_tuner.answers import Directive
from custom_components.distributed_tuner.errors import ChiefRefused
from custom_components.distributed_tuner.heartbeat import Heartbeat
from custom_components.distributed_tuner.remote_oracle import CurrentTrial


class Chief:
    """Refuses the first heartbeat and takes the trial away with the second one."""

    def __init__(self) -> None:
        self.calls = 0
        self.thrice = threading.Event()

    def call(self, method: str, message: dict[str, Any], **limits: float) -> dict[str, Any]:
        assert method == rpc.HEARTBEAT and message["trial_id"] == "0"
        self.calls += 1
        if self.calls == 1:
            raise ChiefRefused("the chief refused Heartbeat")
        if self.calls == 3:
            self.thrice.set()
        return {"directive": Directive.ABANDON.value, "reason": "somebody else has it"}


def test_a_refused_heartbeat_is_followed_by_others() -> None:
    chief, current = Chief(), CurrentTrial()
    current.begin("0", 0)
    beating = Heartbeat(
        chief,  # type: ignore[arg-type]
        "a",
        "1",
        current,
        every_seconds=0.01,
        lease_seconds=60.0,
        grace_seconds=60.0,
    )
    beating.start()
    try:
        assert chief.thrice.wait(60.0)
        assert beating.orders("0") == (Directive.ABANDON, "somebody else has it")
    finally:
        beating.stop()
