"""A process that holds its trial no longer says whatever it can: nothing changes.

The one exception is what it was there for, the whole result of the trial: that counts once, whoever brings it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chief_here
import keras_tuner as kt
import pytest
from chief_here import ChiefHere

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.rpc import messages, schema
from custom_components.distributed_tuner.storage.search_dir import SearchDir

OBJECTIVE = kt.Objective("loss", "min")


def space(*more: str) -> kt.HyperParameters:
    hp = kt.HyperParameters()
    for name in ["x", *more]:
        hp.Float(name, 0.0, 1.0)
    return hp


@dataclasses.dataclass(frozen=True)
class Served:
    """A search whose only trial went from one process to another, and who has it now."""

    here: ChiefHere
    root: Path
    trial_id: str
    holder: tuple[str, str]

    def seen(self) -> tuple[Any, ...]:
        """All that a call could change but who lives: the record, the space, and what is stored of them."""
        status = self.here.client.ask(messages.Status())
        record = {**(status.record or {}), "time": None}
        journal = [json.loads(line.split(" ", 1)[1]) for line in SearchDir(self.root).journal.read_text().splitlines()]
        stored = [{name: value for name, value in entry.items() if name != "time"} for entry in journal]
        return (
            {name: value for name, value in record.items() if name not in ("now", "taken")},
            status.over,
            status.stop_reason,
            status.renewing,
            self.here.client.ask(messages.Space()),
            stored,
        )


OTHER_WORKER, NEXT_PROCESS = ("b", "2"), ("a", "2")


@pytest.fixture(params=[OTHER_WORKER, NEXT_PROCESS], ids=["another worker has it", "the worker's next process has it"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """Process 1 of worker `a` had the trial, was seen to end, and lives on."""
    worker, process = request.param
    directory = SearchDir(tmp_path)
    directory.create()
    oracle = kt.oracles.RandomSearchOracle(OBJECTIVE, 1, 1, space())
    # So long a lease that only calls move anything.
    options = SearchOptions(lease_seconds=3600.0)
    with chief_here.serving(directory, oracle, "token", options) as here:
        first = here.client.ask(messages.Suggest("a", "1"))
        assert first.trial is not None
        here.client.ask(messages.Heartbeat("a", first.trial["trial_id"], 1, "1"))
        here.client.ask(messages.Gone("a", "exit code 9", "1"))
        again = here.client.ask(messages.Suggest(worker, process))
        assert again.trial is not None and again.trial["trial_id"] == first.trial["trial_id"]
        yield Served(here, tmp_path, first.trial["trial_id"], (worker, process))


# Each call of a worker, as process 1 of worker `a` sends it, and what it hears.
CALLS: dict[type[schema.Request[Any]], Callable[[str], tuple[schema.Request[Any], Callable[[Any], bool]]]] = {
    messages.Finish: lambda trial: (
        messages.Finish("a", trial, False, "1", message="boom", hyperparameters=space("more").get_config(), epochs=3),
        lambda told: not told.accepted,
    ),
    messages.Heartbeat: lambda trial: (
        messages.Heartbeat("a", trial, 9, "1"),
        lambda told: told.directive.value == "abandon",
    ),
    messages.Release: lambda trial: (messages.Release("a", trial, "1"), lambda told: True),
    messages.UpdateSpace: lambda trial: (
        messages.UpdateSpace(space("more").get_config(), "a", "1", trial),
        lambda told: True,
    ),
}
# Those that say nothing of a trial: of a process that was replaced they change nothing.
OF_A_PROCESS: dict[type[schema.Request[Any]], tuple[schema.Request[Any], Callable[[Any], bool]]] = {
    messages.Suggest: (messages.Suggest("a", "1", 0.0), lambda told: told.answer is messages.Next.REPLACED),
    messages.Renew: (messages.Renew("a", "1"), lambda told: True),
    messages.Fail: (messages.Fail("a", "it cannot go on", "…", process="1"), lambda told: True),
}
# Of readers, and of the run, which has seen the process end: it is no word of its own.
OF_OTHERS = {messages.Space, messages.Best, messages.Status, messages.Stop, messages.Gone}


def test_every_call_is_here() -> None:
    assert {*CALLS, *OF_A_PROCESS, *OF_OTHERS} == {*schema.Request.__subclasses__()}


@pytest.mark.timeout(300)
def test_no_call_of_a_process_that_holds_the_trial_no_longer_changes_anything(served: Served) -> None:
    sent = [made(served.trial_id) for made in CALLS.values()]
    if served.holder == NEXT_PROCESS:
        sent += OF_A_PROCESS.values()
    for request, right in sent:
        before = served.seen()
        told: Any = served.here.client.ask(request)
        assert right(told), (request.method(), told)
        assert served.seen() == before, request.method()
    worker, process = served.holder
    earlier = messages.Finish("a", served.trial_id, True, "1", reports=[(0, {"loss": 0.5})], attempt=7)
    assert not served.here.client.ask(earlier).accepted, "a result of another attempt at the trial"
    ended = messages.Finish(worker, served.trial_id, True, process, reports=[(0, {"loss": 0.25})])
    assert served.here.client.ask(ended).accepted, "and its holder goes on with it"
    (best,) = served.here.client.best(1)
    assert best["score"] == 0.25
