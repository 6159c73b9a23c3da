"""What a chief with a slow oracle does meanwhile, and what becomes of the work whose caller goes away."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner import rpc
from custom_components.distributed_tuner.errors import ChiefRefused
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here
from tests.custom_components.distributed_tuner.chief_here import ChiefHere


class Slow(kt.oracles.RandomSearchOracle):
    """Takes as long over a suggestion as the test wants."""

    def __init__(self, **options: Any) -> None:
        space = kt.HyperParameters()
        space.Float("x", 0.0, 1.0)
        super().__init__(kt.Objective("loss", "min"), max_trials=9, seed=1, hyperparameters=space, **options)
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        self.fault = ""
        self.suggested = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Waits until it may answer."""
        self.asked.set()
        assert self.answers.wait(60.0)
        if self.fault:
            raise ValueError(self.fault)
        self.suggested += 1
        return super().populate_space(trial_id)


@contextlib.contextmanager
def serving(folder: Path, oracle: kt.Oracle) -> Iterator[ChiefHere]:
    directory = SearchDir(folder)
    directory.create()
    with chief_here.serving(directory, oracle, "token", SearchOptions()) as here:
        yield here


def ask(here: ChiefHere, worker: str, seconds: float) -> dict[str, Any]:
    """Asks for a trial."""
    return here.client.call(rpc.SUGGEST, {"worker": worker, "process": worker, "wait_seconds": seconds})


def finish(here: ChiefHere, worker: str, trial_id: str) -> dict[str, Any]:
    """Ends a trial and asks for the next one."""
    told = {"worker": worker, "process": worker, "trial_id": trial_id, "succeeded": True, "next": True}
    return here.client.call(rpc.FINISH, {**told, "reports": [[0, {"loss": 1.0}]]})


def test_the_end_of_a_trial_waits_for_no_slow_suggestion(tmp_path: Path) -> None:
    oracle = Slow()
    with serving(tmp_path, oracle) as here:
        first = ask(here, "a", 15.0)["trial"]["trial_id"]
        oracle.answers.clear()
        began = time.monotonic()
        assert finish(here, "a", first) == {"accepted": True, "answer": "wait"}
        # Said twice, since the first answer was lost: by now it is judged, and the worker may have a new trial.
        assert finish(here, "a", first) == {"accepted": False, "answer": "wait"}
        assert time.monotonic() - began < 5.0
        oracle.answers.set()
        assert ask(here, "a", 15.0)["trial"]["trial_id"] != first


def test_a_question_that_the_oracle_takes_long_over_is_asked_again_and_answered_once(tmp_path: Path) -> None:
    oracle = Slow()
    oracle.answers.clear()
    with serving(tmp_path, oracle) as here:
        assert ask(here, "a", 0.2) == ask(here, "a", 0.2) == {"answer": "wait"}
        threading.Timer(0.5, oracle.answers.set).start()
        answer = ask(here, "a", 15.0)
        assert answer["answer"] == "trial" and oracle.suggested == 1
        assert ask(here, "a", 0.2) == answer


def test_an_oracle_that_raises_while_nobody_waits_for_it_ends_the_search(tmp_path: Path) -> None:
    oracle = Slow()
    oracle.answers.clear()
    oracle.fault = "no more ideas"
    with serving(tmp_path, oracle) as here:
        assert ask(here, "a", 0.2) == {"answer": "wait"}
        oracle.answers.set()

        def reason() -> Any:
            return here.client.call(rpc.STATUS, {})["stop_reason"]

        assert "no more ideas" in chief_here.wait_for(reason, "the search is stopped")


def test_a_waiting_trial_comes_with_the_end_of_another_one(tmp_path: Path) -> None:
    oracle = Slow()
    with serving(tmp_path, oracle) as here:
        first, second = (ask(here, worker, 15.0)["trial"]["trial_id"] for worker in "ab")
        here.client.call(rpc.RELEASE, {"worker": "b", "trial_id": second})
        answer = finish(here, "a", first)
        # The first end is not judged yet, or it is.
        assert (answer if "trial" in answer else ask(here, "a", 15.0))["trial"]["trial_id"] == second
        assert oracle.suggested == 2
        with pytest.raises(ChiefRefused, match="never held"):
            finish(here, "c", second)
