"""How many configurations there are: as many as a grid search finds, but for defaults that are not on the grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.space import size
from custom_components.distributed_tuner.study.answers import Suggested


def conditional(hp: kt.HyperParameters) -> None:
    kind = hp.Choice("kind", ["a", "b", "c"])
    with hp.conditional_scope("kind", ["a"]):
        hp.Int("depth", 1, 4)
        deep = hp.Boolean("deep")
        with hp.conditional_scope("deep", [True]):
            hp.Int("more", 1, 3)
    with hp.conditional_scope("kind", ["b"]):
        hp.Float("rate", 0.1, 0.5, step=0.2)
    hp.Fixed("fixed", 3)
    assert kind and deep is False


SPACES: dict[str, tuple[Callable[[kt.HyperParameters], Any], int]] = {
    "nothing": (lambda hp: None, 1),
    "choice": (lambda hp: hp.Choice("x", [1, 2]), 2),
    "whole numbers": (lambda hp: (hp.Int("x", 1, 3), hp.Int("y", 0, 10, step=4), hp.Boolean("z")), 3 * 3 * 2),
    "logarithmic": (lambda hp: (hp.Int("x", 8, 128, 2, "log"), hp.Int("y", 2, 9, 2, "reverse_log", default=3)), 5 * 3),
    # a: 4 depths, each with one shallow and three deep ones; b: 3 rates; c: itself.
    "conditional": (conditional, 4 * (1 + 3) + 3 + 1),
}


def gone_through(hp: kt.HyperParameters) -> set[tuple[tuple[str, Any], ...]]:
    """The configurations that a grid search over this space tries."""
    oracle = kt.oracles.GridSearchOracle(kt.Objective("score", "min"), hyperparameters=hp)
    suggester = OracleSuggester(oracle)
    found: set[tuple[tuple[str, Any], ...]] = set()
    while isinstance(answer := suggester.suggest("w"), Suggested):
        found.add(tuple(sorted(answer.hyperparameters.items())))
        suggester.finish(answer.trial_id, succeeded=True, reports=[Report(0, {"score": 1.0})])
    return found


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_counted_as_a_grid_search_goes_through_it(name: str) -> None:
    declare, expected = SPACES[name]
    hp = kt.HyperParameters()
    declare(hp)
    assert size.count(hp.space) == expected
    assert len(gone_through(hp)) == expected


def test_a_grid_search_tries_a_default_that_is_not_on_the_grid_too() -> None:
    hp = kt.HyperParameters()
    # 9, 7 and 3; a default that is left out is the least.
    hp.Int("x", 2, 9, 2, "reverse_log")
    hp.Int("y", 0, 10, step=5, default=3)
    assert size.count(hp.space) == 3 * 3
    assert len(gone_through(hp)) == (1 + 3) * (1 + 3)


def test_numbers_without_a_step() -> None:
    hp = kt.HyperParameters()
    hp.Int("whole", 1, 8, sampling="log")
    assert size.count(hp.space) == 8
    hp.Float("one", 2.0, 2.0)
    assert size.count(hp.space) == 8
    hp.Float("rate", 0.0, 1.0)
    assert size.count(hp.space) is None


def test_more_branches_than_are_worth_the_time_are_not_counted() -> None:
    hp = kt.HyperParameters()
    hp.Int("parent", 1, 10**9)
    assert size.count(hp.space) == 10**9
    with hp.conditional_scope("parent", [1]):
        hp.Boolean("child")
    assert size.count(hp.space) is None
