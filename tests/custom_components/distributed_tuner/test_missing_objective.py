"""A trial whose fit does not report the objective says which metrics there are in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_tuner as kt
import pytest
import tensorflow as tf
from keras_tuner.src.engine import tuner_utils

from custom_components.distributed_tuner import missing_objective
from custom_components.distributed_tuner.record import TrialStatus


def history(**values: list[float]) -> tf.keras.callbacks.History:
    made = tf.keras.callbacks.History()
    made.history = values
    return made


@pytest.mark.timeout(180)
def test_a_misspelt_objective_is_told_with_the_metrics_that_there_are(make_search: Callable[..., Any]) -> None:
    found = make_search("models", {"objective": ["val_los", "min"], "max_trials": 1, "epochs": 1}).run(workers=1)
    assert found.record.count(TrialStatus.COMPLETED) == 0
    (failed,) = found.record.failed()
    assert failed.cause.startswith("ValueError: the trial reported no 'val_los'; it reported loss, val_loss. ")


def test_an_objective_that_only_some_epochs_have_is_told_from_one_that_is_not_there() -> None:
    with missing_objective.told(), pytest.raises(ValueError, match="'val_loss' not after each of its epochs"):
        tuner_utils.get_best_step(history(loss=[3.0, 2.0], val_loss=[1.0]), kt.Objective("val_loss", "min"))


def test_of_several_objectives_those_that_are_missing_are_named() -> None:
    objective = tuner_objective(["val_loss", "val_mae"])
    assert missing_objective.reason(objective, ["loss", "val_loss"]).startswith(
        "the trial reported no 'val_mae'; it reported loss, val_loss."
    )
    with missing_objective.told(), pytest.raises(ValueError, match="no 'val_loss', 'val_mae'; it reported nothing"):
        tuner_utils.get_best_step(history(), objective)


def test_what_is_there_is_found_as_keras_tuner_finds_it() -> None:
    fits = [history(loss=[3.0, 2.0], val_loss=[1.0, 4.0]), history(loss=[1.0], val_loss=[0.5])]
    for objective in (kt.Objective("val_loss", "min"), tuner_objective(["loss", "val_loss"])):
        stock = tuner_utils.convert_to_metrics_dict(fits, objective)
        with missing_objective.told():
            assert tuner_utils.convert_to_metrics_dict(fits, objective) == stock


def tuner_objective(names: list[str]) -> Any:
    """What keras-tuner makes of several objectives, each the smaller the better."""
    return kt.oracles.RandomSearchOracle([kt.Objective(name, "min") for name in names]).objective
