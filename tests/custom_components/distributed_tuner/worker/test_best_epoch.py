"""The best epoch of a fit is one after which the objective was a finite number."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest
import tensorflow as tf
from keras_tuner.src.engine import tuner_utils

from custom_components.distributed_tuner.record.record import TrialStatus
from custom_components.distributed_tuner.worker import best_epoch

NAN, INF = math.nan, math.inf
LOSS, F1 = kt.Objective("val_loss", "min"), kt.Objective("val_f1", "max")


def history(**values: list[float]) -> tf.keras.callbacks.History:
    made = tf.keras.callbacks.History()
    made.history = values
    made.epoch = list(range(max(map(len, values.values()), default=0)))
    return made


def several(*names: str) -> Any:
    """What keras-tuner makes of several objectives, each the smaller the better."""
    return kt.oracles.RandomSearchOracle([kt.Objective(name, "min") for name in names]).objective


def scored(results: Any, objective: Any) -> tuple[float, int]:
    """The score and the best step that keras-tuner's tuner would report."""
    with best_epoch.chosen():
        metrics = tuner_utils.convert_to_metrics_dict(results, objective)
        return float(objective.get_value(metrics)), tuner_utils.get_best_step(results, objective)


@pytest.mark.parametrize(
    ("values", "objective", "expected"),
    [
        ([NAN, 2.0, 1.0], LOSS, (1.0, 2)),
        ([2.0, NAN, 1.0, NAN], LOSS, (1.0, 2)),
        ([INF, 2.0, 3.0], LOSS, (2.0, 1)),
        ([2.0, -INF, 1.0], LOSS, (1.0, 2)),
        ([NAN, NAN, 0.0], F1, (0.0, 2)),
        ([0.5, INF, 0.7], F1, (0.7, 2)),
        ([0.5, 0.5], F1, (0.5, 0)),
    ],
)
def test_the_best_of_the_finite_epochs_counts(
    values: list[float], objective: kt.Objective, expected: tuple[float, int]
) -> None:
    # Metrics beside the objective may be what they like.
    fit = history(**{objective.name: values, "other": [NAN] * len(values)})
    assert scored(fit, objective) == expected
    assert scored([fit], objective) == expected


def test_where_all_is_finite_it_is_as_in_keras_tuner() -> None:
    fits = [history(loss=[3.0, 2.0], val_loss=[1.0, 4.0]), history(loss=[1.0], val_loss=[0.5])]
    for objective in (LOSS, several("loss", "val_loss")):
        for results in (fits, fits[0], 0.5, {"val_loss": 1.0, "loss": 2.0}, [0.5, 1.5]):
            stock = tuner_utils.convert_to_metrics_dict(results, objective)
            step = tuner_utils.get_best_step(results, objective)
            with best_epoch.chosen():
                assert tuner_utils.convert_to_metrics_dict(results, objective) == stock
                assert tuner_utils.get_best_step(results, objective) == step


def test_several_objectives_count_where_their_sum_is_finite() -> None:
    fit = history(a=[NAN, 3.0, 1.0, INF], b=[1.0, 1.0, 2.0, -INF])
    with best_epoch.chosen():
        metrics = tuner_utils.convert_to_metrics_dict(fit, several("a", "b"))
    assert metrics == {"a": 1.0, "b": 2.0, "multi_objective": 3.0}


def test_a_fit_without_a_finite_epoch_is_told_with_its_epochs() -> None:
    fit = history(val_f1=[NAN, NAN, NAN, INF])
    with pytest.raises(ValueError, match="'val_f1' was nan after epochs 1 to 3, inf after epoch 4: the training"):
        scored(fit, F1)
    # As Hyperband's later rounds count them.
    fit.epoch = [3, 4, 5, 6]
    with pytest.raises(ValueError, match="nan after epochs 4 to 6, inf after epoch 7"):
        scored(fit, F1)


def test_one_execution_without_a_finite_result_is_told_from_the_others() -> None:
    good, bad = history(val_loss=[1.0]), history(val_loss=[NAN])
    with pytest.raises(ValueError, match="execution 2 of 3: the objective 'val_loss' was nan after epoch 1"):
        scored([good, bad, good], LOSS)
    with pytest.raises(ValueError, match="execution 1 of 2: the objective 'val_loss' was inf"):
        scored([INF, 1.0], LOSS)
    assert scored([good, history(val_loss=[NAN, 3.0])], LOSS) == (2.0, 0)


def test_what_a_trial_returns_without_a_fit_is_left_to_the_chief() -> None:
    with best_epoch.chosen():
        assert tuner_utils.convert_to_metrics_dict(INF, LOSS) == {"val_loss": INF}


def test_epochs_that_do_not_count_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        scored([history(val_f1=[NAN, NAN, 0.5, INF]), history(val_f1=[0.5])], F1)
    assert caplog.messages == [
        "the objective 'val_f1' was nan after epochs 1 to 2, inf after epoch 4: those epochs do not count"
    ]


def test_a_fit_that_lacks_the_objective_is_told_as_that() -> None:
    with pytest.raises(ValueError, match="no 'val_loss', 'val_mae'; it reported nothing"):
        scored(history(), several("val_loss", "val_mae"))
    for objective in (LOSS, several("val_loss", "loss")):
        with pytest.raises(ValueError, match="not after each of its epochs"):
            scored(history(loss=[3.0, 2.0], val_loss=[1.0]), objective)
    with pytest.raises(ValueError, match="trained no epoch"):
        scored(history(val_loss=[]), LOSS)


@pytest.mark.timeout(180)
def test_a_metric_that_is_undefined_at_first_fails_no_good_trial(
    make_search: Callable[..., Any], tmp_path: Path
) -> None:
    made = make_search("waiting")
    made.spec = dataclasses.replace(made.spec, exec_properties={"tuner_fn": "astray_tuners.undefined"})
    found = made.run(workers=1)
    by_metric = {trial.hyperparameters["metric"]: trial for trial in found.record.trials}
    late, never = by_metric["undefined at first"], by_metric["never defined"]
    assert (late.status, late.score, late.best_step, late.epochs) == (TrialStatus.COMPLETED, 0.7, 3, 6)
    assert never.status is TrialStatus.FAILED
    assert "'val_f1' was nan after epochs 1 to 2, -inf after epoch 3: the training diverged, or" in never.cause
    assert found.record.completed()[0] is late
    weights = tf.train.load_checkpoint(str(tmp_path / "search" / "undefined" / f"trial_{late.trial_id}" / "checkpoint"))
    assert weights.get_tensor("layer_with_weights-0/bias/.ATTRIBUTES/VARIABLE_VALUE")[0] == 3.0
    log = made.directory.log("worker-0").read_text()
    assert "'val_f1' was nan after epoch 1, inf after epoch 2, nan after epoch 6: those epochs do not count" in log
