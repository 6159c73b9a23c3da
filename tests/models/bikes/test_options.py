"""Options from a custom_config."""

from __future__ import annotations

from typing import Any

import pytest

from models.bikes.options import SearchOptions, TrainOptions


def test_other_keys_are_left_alone() -> None:
    options = SearchOptions.from_config({"algorithm": "grid", "max_trials": 3, "num_workers": 8})
    assert (options.algorithm, options.max_trials) == ("grid", 3)


def test_without_config_the_defaults_stand() -> None:
    assert SearchOptions.from_config(None) == SearchOptions()
    assert TrainOptions.from_config({}) == TrainOptions()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"algorithm": "annealing"}, "'algorithm'.*'annealing'.*random, bayesian, hyperband, grid"),
        ({"max_trials": 0}, "'max_trials'.* 0: .*at least 1"),
        ({"epochs": 2.5}, "'epochs'.* 2.5"),
        ({"batch_size": True}, "'batch_size'.* True"),
        ({"seed": -1}, "'seed'.*at least 0"),
    ],
)
def test_an_error_names_the_key_and_what_is_allowed(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchOptions.from_config(config)
