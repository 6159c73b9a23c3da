"""Reading transformed trips, and the course of a training."""

from __future__ import annotations

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


def test_the_best_epoch_is_kept(train: training.Trips, validation: training.Trips) -> None:
    keras.utils.set_random_seed(1)
    network = model.build_model(model.hyperparameters_from(None), train.typical_duration())
    history = training.fit(network, train, validation, epochs=60, batch_size=32).history
    best = min(range(len(history[training.OBJECTIVE])), key=lambda epoch: history[training.OBJECTIVE][epoch])
    assert len(history["loss"]) <= best + 1 + training.PATIENCE
    kept = network.evaluate(validation.inputs, validation.durations, verbose=0, return_dict=True)
    assert kept["mae"] == pytest.approx(history["val_mae"][best], rel=1e-5)
