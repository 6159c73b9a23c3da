"""Reading transformed trips, and the course of a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from models.bikes import features, model, training

Write = Callable[[training.Trips, Path], str]


def test_what_transform_wrote_is_read_back(validation: training.Trips, write_split: Write, tmp_path: Path) -> None:
    trips = training.load([write_split(validation, tmp_path / "Split-eval")])
    np.testing.assert_array_equal(trips.durations, validation.durations)
    for name in (features.DENSE, features.CATEGORIES):
        np.testing.assert_array_equal(trips.inputs[name], validation.inputs[name])


def test_several_patterns_make_one_split(validation: training.Trips, write_split: Write, tmp_path: Path) -> None:
    patterns = [write_split(validation, tmp_path / name) for name in ("Split-a", "Split-b")]
    assert len(training.load(patterns)) == 2 * len(validation)


def test_no_file_is_told_with_the_pattern(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Split-eval/\* \(0 files\)"):
        training.load([str(tmp_path / "Split-eval" / "*")])


def test_files_without_a_trip_are_told(train: training.Trips, write_split: Write, tmp_path: Path) -> None:
    none = training.Trips({name: values[:0] for name, values in train.inputs.items()}, train.durations[:0])
    with pytest.raises(ValueError, match=r"\(1 files\): the split is empty"):
        training.load([write_split(none, tmp_path / "Split-eval")])


def test_typical_duration_is_the_median(train: training.Trips) -> None:
    assert train.typical_duration() == pytest.approx(np.median(train.durations), rel=0.01)


def test_the_learning_rate_falls_along_half_a_wave(train: training.Trips, validation: training.Trips) -> None:
    network = model.build_model(model.hyperparameters_from(None))
    rates: list[float] = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: rates.append(float(network.optimizer.learning_rate))
    )
    arguments = training.fit_arguments(train, validation, batch_size=256)
    network.fit(**arguments, epochs=4, callbacks=[training.CosineDecay(), note], verbose=0)
    first = network.initial_learning_rate
    assert rates == pytest.approx([first * share for share in (1.0, 0.8565, 0.51, 0.1635)], rel=1e-3)


def test_a_resumed_trial_goes_on_with_the_rate_of_its_epoch(train: training.Trips, validation: training.Trips) -> None:
    network = model.build_model(model.hyperparameters_from(None))
    arguments = training.fit_arguments(train, validation, batch_size=256)
    network.fit(**arguments, initial_epoch=3, epochs=4, callbacks=[training.CosineDecay()], verbose=0)
    assert float(network.optimizer.learning_rate) == pytest.approx(network.initial_learning_rate * 0.1635, rel=1e-3)


class _Weights:
    """A network of one number, as far as a callback sees it: after an epoch it holds the epoch's number."""

    def __init__(self) -> None:
        self.held = -1
        self.stop_training = False

    def get_weights(self) -> list[int]:
        return [self.held]

    def set_weights(self, weights: list[int]) -> None:
        (self.held,) = weights


@pytest.mark.parametrize(
    ("errors", "kept", "epochs"),
    [
        ([500, 450, 400], 2, 3),
        ([500, 400, 404, 430], 2, 4),  # 404 is as good as 400, and later.
        ([500, 400, 420, 430, 440, 390], 1, 5),  # Three bad ones in a row: over.
        ([500, 400, 420, 430, 404, 440], 4, 6),  # A good one in between starts the count anew.
        ([math.nan, 500, math.nan], 1, 3),
        ([math.nan, math.nan, math.nan, math.nan], -1, 3),
    ],
)
def test_early_stopping_keeps_the_latest_good_epoch(errors: list[float], kept: int, epochs: int) -> None:
    network, stopping = _Weights(), training.EarlyStopping(tolerance=0.02, patience=3)
    stopping.set_model(network)
    done = 0
    for epoch, error in enumerate(errors):
        network.held = epoch
        stopping.on_epoch_end(epoch, {training.OBJECTIVE: error})
        done += 1
        if network.stop_training:
            break
    stopping.on_train_end()
    assert done == epochs
    assert stopping.kept_epoch == kept
    assert network.held == (kept if kept >= 0 else done - 1)


def test_the_more_eval_trips_the_less_is_put_down_to_chance() -> None:
    assert training.tolerance(230) == pytest.approx(0.033, abs=0.001)
    assert training.tolerance(100_000) < 0.002


def test_a_training_ends_with_the_weights_of_a_good_epoch(train: training.Trips, validation: training.Trips) -> None:
    keras.utils.set_random_seed(1)
    network = model.build_model(model.hyperparameters_from(None), train.typical_duration())
    errors = training.fit(network, train, validation, epochs=6, batch_size=64).history[training.OBJECTIVE]
    kept = network.evaluate(validation.inputs, validation.durations, verbose=0, return_dict=True)["mae"]
    assert any(kept == pytest.approx(error, rel=1e-5) for error in errors)
    assert kept <= min(errors) * (1 + training.tolerance(len(validation))) * (1 + 1e-5)
