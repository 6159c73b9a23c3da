"""Every value that a trial is given is of its entry's type and in its range, whichever oracle gives it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import keras_tuner as kt
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_tuner.src.engine.hyperparameters import hp_types

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.oracle.calls import OracleError
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.space import entry_values
from custom_components.distributed_tuner.study.answers import Suggested, Verdict

OBJECTIVE = kt.Objective("val_loss", "min")
TRIALS = 8
SAMPLINGS = ("linear", "log", "reverse_log")


class Grid(kt.oracles.GridSearchOracle):
    """A grid of somebody's own, whose state is compared whole."""


class Beyond(kt.oracles.RandomSearchOracle):
    """Somebody's oracle, with numbers of NumPy that are a little off."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = super().populate_space(trial_id)
        for name, value in (answer["values"] or {}).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                shift = (-1) ** len(self.trials) * (0 if "choice" in name else 1e-9 if value else 0.3)
                answer["values"][name] = np.float64(value * (1 + shift))
        return answer


ORACLES: dict[str, Callable[[kt.HyperParameters], kt.Oracle]] = {
    "random": lambda space: kt.oracles.RandomSearchOracle(OBJECTIVE, TRIALS, 1, space),
    "bayesian": lambda space: bayesian(space),
    "hyperband": lambda space: kt.oracles.HyperbandOracle(OBJECTIVE, 4, 2, seed=1, hyperparameters=space),
    "grid": lambda space: kt.oracles.GridSearchOracle(OBJECTIVE, TRIALS, 1, space),
    "own grid": lambda space: Grid(OBJECTIVE, TRIALS, 1, space),
    "own": lambda space: Beyond(OBJECTIVE, TRIALS, 1, space),
}


def bayesian(space: kt.HyperParameters) -> kt.Oracle:
    """Suggests corners of the space, without the time that a model of the scores takes."""
    oracle = kt.oracles.BayesianOptimizationOracle(
        OBJECTIVE, TRIALS, num_initial_points=2, seed=1, hyperparameters=space
    )
    oracle.gpr = mock.Mock()
    return oracle


Declaration = Callable[[kt.HyperParameters, str], Any]


@st.composite
def numbers(draw: st.DrawFn) -> Declaration:
    """An Int or a Float of any sampling, step and default."""
    whole, sampling = draw(st.booleans()), draw(st.sampled_from(SAMPLINGS))
    least = 1 if sampling != "linear" else -20
    if whole:
        low = draw(st.integers(least, 50))
        high = low + draw(st.integers(0, 200))
        step = draw(st.none() | st.integers(2, 12))
        default = draw(st.none() | st.integers(low, high) | st.integers(low, high).map(float))
        return lambda hp, name: hp.Int(name, low, high, step, sampling, default)
    bottom = draw(st.floats(1e-4 if least > 0 else -5.0, 5.0))
    top = bottom + draw(st.sampled_from([0.0, 0.3, 1.0, 5.0, 100.0]))
    gap = draw(st.none() | st.sampled_from([2.0, 10.0, 3] if sampling != "linear" else [0.1, 0.2, 0.3, 7, 2.5]))
    middle = draw(st.none() | st.floats(bottom, top))
    return lambda hp, name: hp.Float(name, bottom, top, gap, sampling, middle)


def choices() -> st.SearchStrategy[Declaration]:
    """A Choice of each type, a Boolean, a Fixed."""
    values = [[3, 1, 2], [0.1, 0.01, 1.0], ["a", "b"], [True, False], [7]]
    return st.one_of(
        st.sampled_from(values).map(lambda these: lambda hp, name: hp.Choice(f"choice_{name}", these)),
        st.booleans().map(lambda default: lambda hp, name: hp.Boolean(name, default)),
        st.sampled_from([3, 0.5, "x", True]).map(lambda value: lambda hp, name: hp.Fixed(name, value)),
    )


@st.composite
def spaces(draw: st.DrawFn) -> kt.HyperParameters:
    """Up to four entries, some of which hang on one before."""
    hp = kt.HyperParameters()
    with entry_values.defaults_fitted(lambda words: None):
        for index, declare in enumerate(draw(st.lists(st.one_of(numbers(), choices()), min_size=1, max_size=4))):
            kinds = (hp_types.Choice, hp_types.Boolean)
            parents = [entry for entry in hp.space if isinstance(entry, kinds) and not entry.conditions]
            hangs = draw(st.booleans())
            if parents and hangs:
                parent = draw(st.sampled_from(parents))
                with hp.conditional_scope(parent.name, [next(iter(parent.values))]):
                    declare(hp, f"p{index}")
            else:
                declare(hp, f"p{index}")
    return hp


def corner(function: Any, x0: Any, **options: Any) -> Any:
    """What a search for the best point often ends at: the edges of the space, which is where values go astray."""
    return mock.Mock(x=np.round(x0), fun=float(np.sum(x0)))


def allowed(entry: Any, value: Any) -> bool:
    """Whether an entry may have this value, found without keras-tuner's own arithmetic."""
    if isinstance(entry, hp_types.Fixed):
        return bool(value == entry.value) and type(value) is type(entry.value)
    if isinstance(entry, hp_types.Boolean):
        return isinstance(value, bool)
    if isinstance(entry, hp_types.Choice):
        return any(value == choice and type(value) is type(choice) for choice in entry.values)
    whole = isinstance(entry, hp_types.Int)
    if type(value) is not (int if whole else float) or not entry.min_value <= value <= entry.max_value:
        return False
    return value == entry.default or entry.step is None or any(math.isclose(value, each) for each in on_grid(entry))


def on_grid(entry: Any) -> list[float]:
    low, high, step = entry.min_value, entry.max_value, entry.step
    if entry.sampling == "linear":
        return [low + index * step for index in range(int((high - low) / step + 1e-9) + 1)]
    powers = itertools.takewhile(lambda each: each <= high * (1 + 1e-9), (low * step**index for index in range(10_000)))
    values = list(powers) if step > 1 and high > low else [low]
    return values if entry.sampling == "log" else [high + low - each for each in values]


def suggestions(suggester: OracleSuggester, most: int = 60) -> list[tuple[str, dict[str, Any]]]:
    """Runs the search by one worker, what is stored of it included."""
    made: list[tuple[str, dict[str, Any]]] = []
    while len(made) < most and isinstance(answer := suggester.suggest("w"), Suggested):
        stored = json.loads(encoding.dumps(suggester.changes()["trials"]))[answer.trial_id]
        values = stored["hyperparameters"]["values"]
        assert values == answer.hyperparameters
        made.append((answer.trial_id, values))
        score = math.sin(len(made)) + len(made) % 3
        reports = [Report(0, {"val_loss": score})]
        assert suggester.finish(answer.trial_id, succeeded=True, reports=reports).verdict is Verdict.COMPLETED
    return made


@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=40, deadline=None)
@given(space=spaces())
def test_every_value_is_of_its_entrys_type_and_in_its_range(name: str, space: kt.HyperParameters) -> None:
    suggester = OracleSuggester(ORACLES[name](space), repeat=True)
    entries: Sequence[Any] = space.space
    with mock.patch.object(scipy.optimize, "minimize", corner):
        made = suggestions(suggester)
    assert made
    for _, values in made:
        active = [entry for entry in entries if all(condition.is_active(values) for condition in entry.conditions)]
        own = {key for key in values if not key.startswith("tuner/")}
        assert own == {entry.name for entry in active}
        assert all(allowed(entry, values[entry.name]) for entry in active), (values, active)
    # What the oracle remembers of its trials is what they were given.
    for trial_id, values in made:
        assert suggester.oracle._id_to_hash[trial_id] == suggester.oracle._compute_values_hash(values)


def test_a_bayesian_search_stays_in_range_and_a_grid_gives_whole_numbers() -> None:
    space = kt.HyperParameters()
    space.Int("log", 1, 8, sampling="log")
    bayesian = kt.oracles.BayesianOptimizationOracle(OBJECTIVE, 12, num_initial_points=2, seed=1, hyperparameters=space)
    suggester = OracleSuggester(bayesian, repeat=True)
    seen = []
    for _ in range(12):
        answer = suggester.suggest("w")
        assert isinstance(answer, Suggested)
        seen.append(answer.hyperparameters["log"])
        # More is better, up to the edge.
        reports = [Report(0, {"val_loss": -float(seen[-1])})]
        suggester.finish(answer.trial_id, succeeded=True, reports=reports)
    assert set(map(type, seen)) == {int} and max(map(int, seen)) == 8
    space = kt.HyperParameters()
    space.Int("units", 8, 128, step=2, sampling="log")
    made = suggestions(OracleSuggester(kt.oracles.GridSearchOracle(OBJECTIVE, hyperparameters=space)))
    assert [repr(values["units"]) for _, values in made] == ["8", "16", "32", "64", "128"]


@pytest.mark.parametrize("sampling", ["linear", "log"])
def test_a_grid_over_numbers_without_a_step_ends_with_each_value_once(sampling: str) -> None:
    space = kt.HyperParameters()
    space.Float("rate", 1e-4, 1e-1, sampling=sampling)
    made = suggestions(OracleSuggester(kt.oracles.GridSearchOracle(OBJECTIVE, hyperparameters=space)))
    rates = [values["rate"] for _, values in made]
    assert len(set(rates)) == len(rates) == 11 and rates[0] == 1e-4
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)


def entry(kind: str, *args: Any, **kwargs: Any) -> Any:
    """One entry by itself."""
    hp = kt.HyperParameters()
    getattr(hp, kind)("x", *args, **kwargs)
    return hp.space[0]


@pytest.mark.parametrize(
    ("declared", "value", "fitted"),
    [
        (entry("Int", 1, 8, sampling="log"), 9, 8),
        (entry("Int", 1, 8), -3, 1),
        (entry("Int", 1, 8), 3.7, 4),
        (entry("Int", 1, 8), True, 1),
        (entry("Int", 1, 8), math.inf, 8),
        (entry("Int", 6, 13, step=3), 13, 12),
        (entry("Int", 6, 13, step=3, default=7), 7, 7),
        (entry("Int", 2, 32, step=2, sampling="log"), np.float32(15.0), 16),
        (entry("Int", 2, 32, step=2, sampling="reverse_log"), 31, 30),
        (entry("Int", 0, 2**62, step=2), 2**62 - 1, 2**62),
        (entry("Float", 0, 1), 1, 1.0),
        (entry("Float", 1e-4, 1e-2, sampling="log"), 0.010000000000000002, 0.01),
        (entry("Float", 0, 1, step=0.2), 0.65, 0.6000000000000001),
        (entry("Choice", [1, 2, 4]), 2.0, 2),
        (entry("Choice", [0.1, 0.2]), float(np.float32(0.1)), 0.1),
        (entry("Choice", ["a", "b"]), np.str_("b"), "b"),
        (entry("Choice", [True, False]), True, 1),
        (entry("Boolean"), 1, True),
        (entry("Fixed", 3), 4, 3),
    ],
)
def test_a_value_becomes_the_nearest_that_its_entry_has(declared: Any, value: Any, fitted: Any) -> None:
    found = entry_values.fit(declared, value)
    assert (found, type(found)) == (fitted, type(fitted))


@pytest.mark.parametrize(
    ("declared", "value", "words"),
    [
        (entry("Int", 1, 8), math.nan, "'x' has the value nan, which is none of the whole numbers from 1 to 8"),
        (entry("Int", 1, 8), "4", "'4'"),
        (entry("Float", 0, 1), None, "the numbers from 0.0 to 1.0"),
        (entry("Choice", ["a", "b"]), "c", "none of 'a', 'b'"),
        (entry("Boolean"), 2, "none of True, False"),
    ],
)
def test_a_value_that_is_near_none_is_refused(declared: Any, value: Any, words: str) -> None:
    with pytest.raises(entry_values.UnfitValue) as refused:
        entry_values.fit(declared, value)
    assert words in str(refused.value)


def test_an_oracle_that_gives_such_a_value_is_named() -> None:
    space = kt.HyperParameters()
    space.Choice("kind", ["a", "b"])
    oracle = kt.oracles.RandomSearchOracle(OBJECTIVE, 5, 1, space)
    oracle.populate_space = lambda trial_id: {"status": "RUNNING", "values": {"kind": "c"}}
    with pytest.raises(
        OracleError, match=r"RandomSearchOracle\.populate_space gave trial 0 .*'kind' has the value 'c'"
    ):
        OracleSuggester(oracle).suggest("w")
    assert not oracle.trials


def test_what_a_trial_brings_back_stays_when_it_is_tried_again() -> None:
    space = kt.HyperParameters()
    space.Choice("kind", ["a", "b"])
    suggester = OracleSuggester(kt.oracles.RandomSearchOracle(OBJECTIVE, 5, 1, space, max_retries_per_trial=1))
    first = suggester.suggest("w")
    assert isinstance(first, Suggested)
    changed = suggester.oracle.trials[first.trial_id].hyperparameters.copy()
    changed.values["kind"] = "its own"
    suggester.finish(first.trial_id, succeeded=False, message="lost", hyperparameters=changed.get_config())
    assert suggester.suggest("w") == Suggested(first.trial_id, {"kind": "its own"})


def test_defaults_are_of_their_entrys_type_and_in_its_range() -> None:
    told: list[str] = []
    with entry_values.defaults_fitted(told.append):
        hp = kt.HyperParameters()
        made = [
            hp.Int("units", 32, 512, step=32, default=64.0),
            hp.Int("off_grid", 32, 512, step=32, default=100),
            hp.Int("beyond", 1, 8, default=100),
            hp.Int("beyond", 1, 8, default=100),
            hp.Int("word", 1, 8, default="many"),
            hp.Float("rate", 0, 1, default=1),
            hp.Boolean("deep", default=1),
            hp.Choice("drop", [0.0, 1.0], default=1),
        ]
    assert list(map(repr, made)) == ["64", "100", "8", "8", "1", "1.0", "True", "1.0"]
    assert [words.split(",")[0] for words in told] == [
        "the default of hyperparameter 'beyond' is 8",
        "the default of hyperparameter 'word' is 1",
    ]
    assert kt.HyperParameters().Int("units", 1, 8, default=100) == 100


@pytest.mark.timeout(120)
def test_a_worker_that_declares_in_its_trial_gets_such_defaults(make_search: Callable[..., Any]) -> None:
    made = make_search("waiting")
    made.spec = dataclasses.replace(made.spec, exec_properties={"tuner_fn": "astray_tuners.declaring"})
    found = made.run(workers=1)
    first = found.record.trials[0]
    assert {name: repr(value) for name, value in first.hyperparameters.items()} == {"units": "64", "beyond": "8"}
    # What the trial itself saw.
    assert first.score == 64 * 1000 + 8
    assert "the default of hyperparameter 'beyond' is 8, and not 100" in made.directory.log("worker-0").read_text()
