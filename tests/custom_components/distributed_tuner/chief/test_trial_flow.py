"""What a chief with a slow oracle does meanwhile, what becomes of work whose caller goes away, and what is stored."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.errors import ChiefRefused, ChiefUnreachable
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.storage.search_dir import SearchDir
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

    def update_space(self, hyperparameters: kt.HyperParameters) -> None:
        """Waits as well."""
        self.asked.set()
        assert self.answers.wait(60.0)
        super().update_space(hyperparameters)

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
    return here.client.call("Suggest", {"worker": worker, "process": worker, "wait_seconds": seconds})


def finish(here: ChiefHere, worker: str, trial_id: str, **more: Any) -> dict[str, Any]:
    """Ends a trial and asks for the next one."""
    told = {"worker": worker, "process": worker, "trial_id": trial_id, "succeeded": True, "next": True}
    return here.client.call("Finish", {**told, "reports": [[0, {"loss": 1.0}]], **more})


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
            return here.client.ask(messages.Status()).stop_reason

        assert "no more ideas" in chief_here.wait_for(reason, "the search is stopped")


def test_a_waiting_trial_comes_with_the_end_of_another_one(tmp_path: Path) -> None:
    oracle = Slow()
    with serving(tmp_path, oracle) as here:
        first, second = (ask(here, worker, 15.0)["trial"]["trial_id"] for worker in "ab")
        here.client.call("Release", {"worker": "b", "process": "b", "trial_id": second})
        answer = finish(here, "a", first)
        # The first end is not judged yet, or it is.
        assert (answer if "trial" in answer else ask(here, "a", 15.0))["trial"]["trial_id"] == second
        assert oracle.suggested == 2
        with pytest.raises(ChiefRefused, match="never held"):
            finish(here, "c", second)


@pytest.mark.parametrize("closed", [False, True], ids=["the caller goes away", "and the chief ends"])
def test_hyperparameters_are_stored_though_their_worker_goes_away(tmp_path: Path, closed: bool) -> None:
    oracle = Slow()
    met = kt.HyperParameters()
    met.Int("met", 1, 9)
    told = {"hyperparameters": met.get_config()}
    with serving(tmp_path, oracle) as here:
        oracle.answers.clear()
        with pytest.raises(ChiefUnreachable):
            here.client.call("UpdateSpace", told, timeout=0.3, patience_seconds=0.0)
        if closed:
            threading.Timer(1.0, oracle.answers.set).start()
        else:
            oracle.answers.set()
            # The oracle knows them by now: there is nothing new in what the worker tells again.
            here.client.call("UpdateSpace", told)
    with serving(tmp_path, Slow()) as here:
        assert "met" in str(here.client.call("Space", {}))


def test_a_suggestion_that_comes_while_the_chief_ends_is_not_lost(tmp_path: Path) -> None:
    oracle = Slow()
    oracle.answers.clear()
    with serving(tmp_path, oracle) as here:
        assert ask(here, "a", 0.1) == {"answer": "wait"}
        threading.Timer(1.0, oracle.answers.set).start()
    assert oracle.suggested == 1
    again = Slow()
    with serving(tmp_path, again) as here:
        assert ask(here, "a", 15.0)["trial"]["trial_id"] == "0"
        assert again.suggested == 0


class SlowJudge(Slow):
    """Takes long over its verdicts."""

    def score_trial(self, trial: Any) -> None:
        """Waits until it may judge."""
        self.asked.set()
        assert self.answers.wait(60.0)
        super().score_trial(trial)


def test_a_verdict_that_comes_while_the_chief_ends_is_stored_with_what_the_oracle_learnt(tmp_path: Path) -> None:
    oracle = SlowJudge()
    with serving(tmp_path, oracle) as here:
        first = ask(here, "a", 15.0)["trial"]["trial_id"]
        oracle.answers.clear()
        oracle.asked.clear()
        assert finish(here, "a", first)["accepted"]
        assert oracle.asked.wait(30.0)
        threading.Timer(1.0, oracle.answers.set).start()
    again = SlowJudge()
    again.answers.clear()  # it has nothing to judge
    with serving(tmp_path, again) as here:
        (trial,) = here.client.call("Status", {})["record"]["trials"]
        assert (trial["status"], trial["score"]) == ("COMPLETED", 1.0)
        again.answers.set()
        assert again.end_order == [first]


def test_that_a_trial_was_cut_short_outlives_the_chief_that_had_not_judged_it(tmp_path: Path) -> None:
    oracle = SlowJudge()
    with serving(tmp_path, oracle) as here:
        first = ask(here, "a", 15.0)["trial"]["trial_id"]
        oracle.answers.clear()
        assert finish(here, "a", first, cut="a limit")["accepted"]
        journal = SearchDir(tmp_path).journal.read_bytes()
        oracle.answers.set()
    SearchDir(tmp_path).journal.write_bytes(journal)
    with serving(tmp_path, SlowJudge()) as here:

        def message() -> Any:
            return here.client.call("Status", {})["record"]["trials"][0]["message"]

        assert chief_here.wait_for(message, "the result is judged") == "cut short: a limit"


def test_a_message_of_many_megabytes_is_stored_with_both_its_ends(tmp_path: Path) -> None:
    with serving(tmp_path, Slow()) as here:
        first = ask(here, "a", 15.0)["trial"]["trial_id"]
        finish(here, "a", first, succeeded=False, message="Traceback: " + "x" * 10_000_000 + " it ends")

        def message() -> Any:
            return here.client.call("Status", {})["record"]["trials"][0]["message"]

        stored = chief_here.wait_for(message, "the failure is judged")
        assert stored.startswith("Traceback: x") and stored.endswith("x it ends")
    assert SearchDir(tmp_path).journal.stat().st_size < 1_000_000
