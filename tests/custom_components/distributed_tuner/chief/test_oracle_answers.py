"""What an oracle gives that nobody can use is refused before it is stored; a journal that holds such is read."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.errors import ChiefRefused
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import record_json
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.storage import journal
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here
from tests.custom_components.distributed_tuner.chief_here import ChiefHere

TRIALS = 3


_USUAL = object()


class Odd(kt.oracles.RandomSearchOracle):
    """Its second trial gets what `answer` is; a score what `score` is."""

    answer: Any = _USUAL
    score: Any = 1.0
    best_step: Any = 0
    rewritten: Any = _USUAL
    created: Any = _USUAL

    def create_trial(self, tuner_id: str) -> Any:
        return super().create_trial(tuner_id) if self.created is _USUAL else self.created

    def populate_space(self, trial_id: str) -> Any:
        return self.answer if len(self.trials) == 1 and self.answer is not _USUAL else super().populate_space(trial_id)

    def score_trial(self, trial: Any) -> None:
        trial.score, trial.best_step = self.score, self.best_step
        if self.rewritten is not _USUAL:
            trial.hyperparameters.values["units"] = self.rewritten


@contextlib.contextmanager
def serving(folder: Path, **faults: Any) -> Iterator[ChiefHere]:
    directory = SearchDir(folder)
    directory.create()
    space = kt.HyperParameters()
    space.Int("units", 1, 100)
    oracle = Odd(objective=kt.Objective("loss", "min"), max_trials=TRIALS, hyperparameters=space, seed=1)
    for name, fault in faults.items():
        setattr(oracle, name, fault)
    with chief_here.serving(directory, oracle, "token", SearchOptions()) as here:
        yield here


def finish(here: ChiefHere, trial_id: str) -> None:
    chief_here.finish(here, "w", trial_id, loss=0.5)


def stop_reason(here: ChiefHere) -> str:
    return str(chief_here.wait_for(lambda: here.client.ask(messages.Status()).stop_reason, "the search is stopped"))


def goes_on(folder: Path) -> None:
    """With the oracle mended, and as a new attempt, which an old stop does not concern."""
    with serving(folder) as here:
        record = here.client.call("Status", {})["record"]
        found = record_json.record_from_json(json.loads(json.dumps(record)))
        assert [trial.trial_id for trial in found.trials] in (["0"], [])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (["units"], "Odd.create_trial raised TypeError"),
        (None, "Odd.create_trial raised TypeError"),
        ({"status": "RUNNING", "values": ["units", 3]}, "Odd.create_trial raised"),
        ({"status": "RUNNING", "values": {"units": [64, 32]}}, "Odd.populate_space gave trial 1 what nobody can run"),
        ({"status": "RUNNING", "values": {"units": None}}, "hyperparameter 'units' has the value None"),
        ({"status": "RUNNING", "values": {"units": 3, 4: 5}}, "Odd.create_trial raised TypeError"),
        ({"status": "WHATEVER", "values": {"units": 3}}, "Odd.create_trial answered status 'WHATEVER'"),
    ],
)
def test_a_suggestion_that_nobody_can_use_ends_the_search_by_name(tmp_path: Path, answer: Any, words: str) -> None:
    with serving(tmp_path, answer=answer) as here:
        first = chief_here.ask(here, "w", 15.0)
        assert first is not None
        finish(here, first)
        with pytest.raises(ChiefRefused, match="ABORTED"):
            chief_here.ask(here, "w", 15.0)
        assert words in stop_reason(here)
    goes_on(tmp_path)


class Forgetful(Odd):
    """Has forgotten which trials there are, and gives one again."""

    def populate_space(self, trial_id: str) -> Any:
        self.trials.clear()
        return super().populate_space(trial_id)


@pytest.mark.parametrize("created", [None, "0", kt.engine.trial.Trial(None, "0", "RUNNING")])
def test_what_is_no_trial_ends_the_search_by_the_name_of_the_oracle(tmp_path: Path, created: Any) -> None:
    with serving(tmp_path, created=created) as here:
        with pytest.raises(ChiefRefused, match="ABORTED"):
            chief_here.ask(here, "w", 15.0)
        assert "Odd.create_trial answered" in stop_reason(here) and "which is no trial" in stop_reason(here)
    goes_on(tmp_path)


def test_a_trial_that_runs_and_is_given_again_ends_the_search_by_the_name_of_the_oracle(tmp_path: Path) -> None:
    with serving(tmp_path, __class__=Forgetful) as here:
        assert [chief_here.ask(here, worker, 15.0) for worker in "uv"] == ["0", "1"]
        with pytest.raises(ChiefRefused, match="ABORTED"):
            chief_here.ask(here, "w", 15.0)
        assert "Forgetful.create_trial: the oracle suggested trial 1 again" in stop_reason(here)


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"score": "abc"}, "Odd.end_trial raised TypeError"),
        ({"score": [1.0, 2.0]}, "Odd."),
        ({"best_step": "last"}, "best_step='last'"),
        ({"rewritten": [1]}, "left trial 0 with what nobody can store: hyperparameter 'units' has the value [1]"),
        ({"rewritten": "\ud800"}, "Odd.end_trial raised UnicodeEncodeError"),
    ],
)
def test_a_score_that_is_none_ends_the_search_and_is_not_stored(
    tmp_path: Path, faults: dict[str, Any], words: str
) -> None:
    with serving(tmp_path, **faults) as here:
        first = chief_here.ask(here, "w", 15.0)
        assert first is not None
        finish(here, first)
        assert words in stop_reason(here)
        assert here.client.call("Best", {"count": 3}) == {"trials": [], "left": []}
    goes_on(tmp_path)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"reports": [["x", {"loss": 1.0}]]}, "reports[0][0] is 'x'"),
        ({"reports": [[0, {"loss": "abc"}]]}, "reports[0][1].loss is 'abc'"),
        (
            {"reports": [[0, {"loss": 1.0}]], "hyperparameters": {"space": 3, "values": {}}},
            "not such as keras-tuner has",
        ),
        ({"succeeded": "yes"}, "does not say whether the trial succeeded"),
    ],
)
def test_a_stored_result_that_nobody_can_judge_fails_its_trial(tmp_path: Path, end: dict[str, Any], words: str) -> None:
    with serving(tmp_path) as here:
        first = chief_here.ask(here, "w", 15.0)
    # What earlier versions stored before they looked at it.
    stored = {"succeeded": True, "retry": True, "reports": [], "message": None, "hyperparameters": None, **end}
    append(tmp_path, {"time": 1.0, "results": {first: {**stored, "attempt": 0}}})
    with serving(tmp_path) as here:
        trial = chief_here.wait_for(lambda: failed(here), "the trial has failed")
        assert "its stored result cannot be judged: " in trial["message"] and words in trial["message"]
        assert chief_here.ask(here, "w", 15.0) == "1"


def test_a_stored_trial_whose_values_are_none_counts_as_failed(tmp_path: Path) -> None:
    with serving(tmp_path) as here:
        first = chief_here.ask(here, "w", 15.0)
        assert first is not None
        finish(here, first)
        chief_here.wait_for(lambda: here.client.call("Best", {"count": 3})["trials"], "a completed trial")
    *_, entry = (entry for entry in journal.read(SearchDir(tmp_path).journal) if first in entry.get("trials", {}))
    entry["trials"][first]["hyperparameters"]["layers"] = [64, 32]
    append(tmp_path, {"time": 1.0, "trials": entry["trials"]})
    with serving(tmp_path) as here:
        trial = failed(here)
        assert trial and "hyperparameter 'layers' has the value [64, 32]" in trial["message"]
        assert here.client.call("Best", {"count": 3})["trials"] == []
        assert chief_here.ask(here, "w", 15.0) == "1"
    with serving(tmp_path) as here:
        assert here.client.call("Best", {"count": 3})["trials"] == []


def test_a_trial_that_waits_with_values_that_are_none_fails(tmp_path: Path) -> None:
    with serving(tmp_path) as here:
        first = chief_here.ask(here, "w", 15.0)
    assert first is not None
    # An earlier version took whatever an oracle suggested.
    *_, entry = (entry for entry in journal.read(SearchDir(tmp_path).journal) if first in entry.get("trials", {}))
    entry["trials"][first]["hyperparameters"]["units"] = [64, 32]
    entry["oracle"]["trials"][first]["hyperparameters"]["values"]["units"] = [64, 32]
    append(
        tmp_path,
        {"time": 1.0, "trials": entry["trials"], "oracle": {"state": {}, **{"trials": entry["oracle"]["trials"]}}},
    )
    for _ in range(2):  # of the second chief on it is stored, with how its stay ended
        with serving(tmp_path) as here:
            trial = chief_here.wait_for(lambda: failed(here), "the trial has failed")
            assert "hyperparameter 'units' has the value [64, 32]" in trial["message"]
            ((_, started, ended, outcome),) = trial["stays"]
            assert outcome == "failed" and started <= ended
    with serving(tmp_path) as here:
        assert chief_here.ask(here, "w", 15.0) == "1"


@pytest.mark.parametrize("name", ["bayesian", "grid"])
def test_a_completed_trial_that_its_oracle_cannot_look_up_counts_as_failed(tmp_path: Path, name: str) -> None:
    space = kt.HyperParameters()
    space.Choice("rate", [0.1, 0.01, 0.001])
    makers: dict[str, Callable[..., kt.Oracle]] = {
        "bayesian": functools.partial(kt.oracles.BayesianOptimizationOracle, num_initial_points=1),
        "grid": kt.oracles.GridSearchOracle,
    }

    @contextlib.contextmanager
    def chief() -> Iterator[ChiefHere]:
        oracle = makers[name](kt.Objective("loss", "min"), max_trials=3, hyperparameters=space.copy(), seed=1)
        with chief_here.serving(SearchDir(tmp_path), oracle, "token", SearchOptions()) as here:
            yield here

    SearchDir(tmp_path).create()
    with chief() as here:
        first = chief_here.ask(here, "w", 15.0)
        assert first is not None
        finish(here, first)
        chief_here.wait_for(lambda: here.client.call("Best", {"count": 3})["trials"], "a completed trial")
    *_, entry = (entry for entry in journal.read(SearchDir(tmp_path).journal) if first in entry.get("trials", {}))
    entry["trials"][first]["hyperparameters"]["rate"] = 0.5
    entry["oracle"]["trials"][first]["hyperparameters"]["values"]["rate"] = 0.5
    told = {"trials": entry["trials"], "oracle": {"state": {}, "trials": entry["oracle"]["trials"]}}
    append(tmp_path, {"time": 1.0, **told})
    for _ in range(2):
        with chief() as here:
            assert "hyperparameter 'rate' was set to 0.5, which is no value of Choice" in failed(here)["message"]
            assert here.client.call("Best", {"count": 3})["trials"] == []
    with chief() as here:
        assert chief_here.ask(here, "w", 15.0) == "1"


def append(folder: Path, entry: dict[str, Any]) -> None:
    with SearchDir(folder).journal.open("ab") as file:
        file.write(journal.encode(entry))


def failed(here: ChiefHere) -> Any:
    """The only trial, if it has failed."""
    (trial,) = here.client.call("Status", {})["record"]["trials"]
    return trial["status"] == "FAILED" and trial
