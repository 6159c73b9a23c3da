"""A trial whose fit does not report the objective says which metrics there are in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.oracle import missing_objective
from custom_components.distributed_tuner.record.record import TrialStatus


@pytest.mark.timeout(180)
def test_a_misspelt_objective_is_told_with_the_metrics_that_there_are(make_search: Callable[..., Any]) -> None:
    found = make_search("models", {"objective": ["val_los", "min"], "max_trials": 1, "epochs": 1}).run(workers=1)
    assert found.record.count(TrialStatus.COMPLETED) == 0
    (failed,) = found.record.failed()
    assert failed.cause.startswith("ValueError: the trial reported no 'val_los'; it reported loss, val_loss. ")


def test_of_several_objectives_those_that_are_missing_are_named() -> None:
    objectives = [kt.Objective(name, "min") for name in ("val_loss", "val_mae")]
    objective = kt.oracles.RandomSearchOracle(objectives).objective
    assert missing_objective.reason(objective, ["loss", "val_loss"]).startswith(
        "the trial reported no 'val_mae'; it reported loss, val_loss."
    )
    assert missing_objective.reason(objective, []).startswith(
        "the trial reported no 'val_loss', 'val_mae'; it reported nothing."
    )
