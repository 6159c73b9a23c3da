"""The search space, the network and both entry points, on real searches and trainings of small size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from models.bikes import features, model, serving, training
from models.bikes.options import TrainOptions

Write = Callable[[training.Trips, Path], str]


@pytest.fixture
def fn_args(
    train: training.Trips,
    validation: training.Trips,
    write_split: Write,
    transform_output: tft.TFTransformOutput,
    tmp_path: Path,
) -> FnArgs:
    return FnArgs(
        working_dir=str(tmp_path / "search"),
        train_files=[write_split(train, tmp_path / "Split-train")],
        eval_files=[write_split(validation, tmp_path / "Split-eval")],
        transform_output=transform_output.transform_savedmodel_dir.rpartition("/")[0],
        serving_model_dir=str(tmp_path / "model" / "Format-Serving"),
        model_run_dir=str(tmp_path / "run"),
    )


def values_of(hp: keras_tuner.HyperParameters, name: str) -> list[Any]:
    (found,) = (each for each in hp.space if each.name == name)
    return list(found.values)


def test_the_search_space() -> None:
    hp = model.default_hyperparameters()
    assert values_of(hp, "hidden_layers") == [2, 3, 4, 5]
    assert values_of(hp, "hidden_size") == [16, 48, 80, 112, 144, 176, 208, 240]
    assert values_of(hp, "learning_rate") == [0.5, 0.1, 0.05, 0.01, 0.005, 0.001, 0.0005, 0.0001]


def test_hyperparameters_shape_the_network() -> None:
    hp = model.default_hyperparameters()
    hp.values |= {"hidden_layers": 4, "hidden_size": 48, "learning_rate": 0.05}
    network = model.build_model(hp)
    assert [layer.units for layer in network.layers if layer.name.startswith("hidden_")] == [48] * 4
    assert float(network.optimizer.learning_rate) == pytest.approx(0.05)


def test_the_untrained_network_predicts_about_the_typical_duration(train: training.Trips) -> None:
    predictions = model.build_model(keras_tuner.HyperParameters(), 1_234.0).predict(train.inputs, verbose=0)
    assert predictions.shape == (len(train), 1)
    assert np.median(predictions) == pytest.approx(1_234.0, rel=0.5)


def test_the_loss_compares_roots() -> None:
    durations, predictions = tf.constant([[400.0], [900.0], [0.0]]), tf.constant([[900.0], [400.0], [100.0]])
    np.testing.assert_allclose(model.root_error(durations, predictions, 100.0), [2.0, 2.0, 2.0], rtol=1e-6)


def test_the_median_has_the_least_loss() -> None:
    durations = tf.constant([[100.0], [300.0], [86_400.0]])

    def loss(constant: float) -> float:
        return float(tf.reduce_mean(model.root_error(durations, tf.fill([3, 1], constant), 800.0)))

    assert loss(300.0) < min(loss(280.0), loss(320.0))


def test_the_wildest_learning_rate_keeps_its_score_finite(train: training.Trips, validation: training.Trips) -> None:
    hp = model.default_hyperparameters()
    hp.values |= {"learning_rate": 0.5, "hidden_layers": 5, "hidden_size": 240}
    network = model.train_model(hp, train, validation, TrainOptions(train_epochs=3))
    scores = network.evaluate(validation.inputs, validation.durations, verbose=0)
    assert np.isfinite(scores).all()


def test_training_is_repeatable_and_depends_on_the_seed(train: training.Trips, validation: training.Trips) -> None:
    def predictions(seed: int) -> npt.NDArray[np.float32]:
        options = TrainOptions(train_epochs=3, seed=seed)
        network = model.train_model(keras_tuner.HyperParameters(), train, validation, options)
        return network.predict(validation.inputs, verbose=0)

    first = predictions(3)
    np.testing.assert_allclose(first, predictions(3), rtol=1e-4)
    assert np.abs(first - predictions(4)).max() > 1.0


@pytest.mark.parametrize(
    ("algorithm", "oracle"),
    [
        ("random", keras_tuner.oracles.RandomSearchOracle),
        ("bayesian", keras_tuner.oracles.BayesianOptimizationOracle),
        ("hyperband", keras_tuner.oracles.HyperbandOracle),
        ("grid", keras_tuner.oracles.GridSearchOracle),
    ],
)
def test_a_search_with_each_algorithm(fn_args: FnArgs, algorithm: str, oracle: type[keras_tuner.Oracle]) -> None:
    fn_args.custom_config = {
        "algorithm": algorithm,
        "max_trials": 2,
        "epochs": 2,
        "batch_size": 256,
        "seed": 7,
        "num_workers": 3,
    }
    result = model.tuner_fn(fn_args)
    assert isinstance(result, TunerFnResult)
    assert isinstance(result.tuner.oracle, oracle)
    result.tuner.search(**result.fit_kwargs)
    trials = list(result.tuner.oracle.trials.values())
    assert [trial.status for trial in trials] == ["COMPLETED"] * 2
    best = result.tuner.oracle.get_best_trials(1)[0]
    assert best.score == min(trial.score for trial in trials)
    assert 100 < best.score < 10_000  # Seconds.
    assert (Path(fn_args.working_dir) / model.PROJECT_NAME / "oracle.json").is_file()


def test_a_search_executes_each_trial_as_often_as_asked(fn_args: FnArgs) -> None:
    fn_args.custom_config = {"executions_per_trial": 3}
    assert model.tuner_fn(fn_args).tuner.executions_per_trial == 3


def test_a_bad_option_stops_a_search_before_it_reads_anything(fn_args: FnArgs) -> None:
    fn_args.custom_config = {"algorithm": "luck"}
    fn_args.train_files = ["nowhere/*"]
    with pytest.raises(ValueError, match="luck"):
        model.tuner_fn(fn_args)


def test_a_full_training_ends_in_a_model_that_beats_the_median(
    fn_args: FnArgs, validation: training.Trips, train: training.Trips, sample: Any
) -> None:
    hp = model.default_hyperparameters()
    hp.values["hidden_size"] = 48
    hp.values["tuner/epochs"] = 2  # Hyperband's bookkeeping may come along.
    fn_args.hyperparameters = hp.get_config()
    fn_args.custom_config = {"train_epochs": 12, "batch_size": 32, "seed": 2}
    model.run_fn(fn_args)
    loaded = tf.saved_model.load(fn_args.serving_model_dir)
    table = sample.iloc[500:]
    raw = {
        name: tf.constant(table[name].astype("float32" if name in features.FLOAT_INPUTS else str))
        for name in features.MODEL_INPUTS
    }
    predictions = loaded.signatures[serving.RAW_SIGNATURE](**raw)[serving.OUTPUT].numpy()
    durations = validation.durations.numpy()[:, 0]
    median = np.abs(durations - np.median(train.durations)).mean()
    assert np.abs(durations - predictions).mean() < 0.9 * median
    logs = [path.name for path in Path(fn_args.model_run_dir).rglob("events.out.tfevents.*")]
    assert len(logs) == 2  # Training and validation.
