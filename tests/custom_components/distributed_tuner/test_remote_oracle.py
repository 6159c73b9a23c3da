"""What a tuner in a worker gets from what it has for its oracle, and what it is refused."""

from __future__ import annotations

import threading
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.current_trial import CurrentTrial
from custom_components.distributed_tuner.remote_oracle import RemoteOracle


class Own(kt.oracles.RandomSearchOracle):
    """Has a setting that keras-tuner knows nothing of."""

    patience = 3


@pytest.fixture
def oracle() -> RemoteOracle:
    local = Own(kt.Objective("val_loss", "min"), max_trials=7, seed=5)
    nobody: Any = None
    return RemoteOracle(local, nobody, "worker-0", "1", CurrentTrial(), threading.Event())


def test_settings_are_those_of_the_users_oracle(oracle: RemoteOracle) -> None:
    assert (oracle.objective.name, oracle.max_trials, oracle.seed, oracle.patience) == ("val_loss", 7, 5, 3)


@pytest.mark.parametrize(
    "name", ["trials", "ongoing_trials", "start_order", "end_order", "hyperparameters", "get_state"]
)
def test_what_only_the_chief_knows_is_no_empty_answer(oracle: RemoteOracle, name: str) -> None:
    with pytest.raises(AttributeError, match=rf"oracle\.{name} is with the chief.*get_best_trials"):
        getattr(oracle, name)
    assert not hasattr(oracle, name)
