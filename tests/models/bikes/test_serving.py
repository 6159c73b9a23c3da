"""The exported model, loaded as a server loads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from models.bikes import features, model, offline, serving, training
from models.bikes.options import TrainOptions

TEXT = {*features.INTEGER_INPUTS, features.LOC_CROSS}


@pytest.fixture(scope="module")
def network(train: training.Trips, validation: training.Trips) -> keras.Model:
    return model.train_model(model.hyperparameters_from(None), train, validation, TrainOptions(train_epochs=3))


@pytest.fixture(scope="module")
def exported(
    network: keras.Model, transform_output: tft.TFTransformOutput, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("model") / "serving"
    serving.export(network, transform_output, str(path))
    return path


@pytest.fixture(scope="module")
def signatures(exported: Path) -> dict[str, tf.types.experimental.ConcreteFunction]:
    loaded = tf.saved_model.load(str(exported))
    return {name: _held(loaded, name) for name in loaded.signatures}


def _held(loaded: tf.Module, name: str) -> tf.types.experimental.ConcreteFunction:
    function = loaded.signatures[name]
    function.owner = loaded  # A signature alone does not keep its variables alive.
    return function


def raw(table: pd.DataFrame) -> dict[str, tf.Tensor]:
    return {
        name: tf.constant(table[name].astype(str) if name in TEXT else table[name].astype("float32"))
        for name in features.MODEL_INPUTS
    }


def predict(
    signatures: dict[str, tf.types.experimental.ConcreteFunction], table: pd.DataFrame
) -> npt.NDArray[np.float32]:
    return signatures[serving.RAW_SIGNATURE](**raw(table))[serving.OUTPUT].numpy()


def test_both_signatures_agree(
    signatures: dict[str, tf.types.experimental.ConcreteFunction], sample: pd.DataFrame
) -> None:
    table = sample.iloc[500:]
    examples = tf.constant(offline.examples(table))
    from_examples = signatures[serving.EXAMPLES_SIGNATURE](examples=examples)[serving.OUTPUT].numpy()
    np.testing.assert_allclose(predict(signatures, table), from_examples, rtol=1e-6)
    assert from_examples.shape == (100,)
    assert from_examples.dtype == np.float32


def test_the_served_model_predicts_what_the_trained_one_does(
    signatures: dict[str, tf.types.experimental.ConcreteFunction],
    network: keras.Model,
    validation: training.Trips,
    sample: pd.DataFrame,
) -> None:
    expected = network.predict(validation.inputs, verbose=0)[:, 0]
    np.testing.assert_allclose(predict(signatures, sample.iloc[500:]), expected, rtol=1e-4)


def test_the_label_is_not_needed(
    signatures: dict[str, tf.types.experimental.ConcreteFunction], sample: pd.DataFrame
) -> None:
    table = sample.iloc[500:505]
    with_label, without = (
        signatures[serving.EXAMPLES_SIGNATURE](examples=tf.constant(offline.examples(each)))[serving.OUTPUT]
        for each in (table, table[list(features.MODEL_INPUTS)])
    )
    np.testing.assert_array_equal(with_label, without)


def test_an_example_without_features_gets_a_prediction(
    signatures: dict[str, tf.types.experimental.ConcreteFunction],
) -> None:
    empty = tf.constant([tf.train.Example().SerializeToString()])
    (duration,) = signatures[serving.EXAMPLES_SIGNATURE](examples=empty)[serving.OUTPUT].numpy()
    assert 60 < duration < 7_200


@pytest.mark.parametrize(
    "change",
    [
        {"start_station_id": "a bench"},
        {"start_station_id": ""},
        {"end_station_id": "9" * 30},
        {"day_of_week": "Tuesday"},
        {"loc_cross": "POINT(here)"},
        {"euclidean": float("nan")},
        {"prcp": float("inf")},
    ],
)
def test_values_of_no_use_are_as_good_as_missing(
    signatures: dict[str, tf.types.experimental.ConcreteFunction], sample: pd.DataFrame, change: dict[str, Any]
) -> None:
    table = sample.iloc[[500, 501]].astype(object)
    (name,) = change
    missing = tf.constant(offline.examples(table.assign(**{name: None})))
    expected = signatures[serving.EXAMPLES_SIGNATURE](examples=missing)[serving.OUTPUT]
    np.testing.assert_allclose(predict(signatures, table.assign(**change)), expected, rtol=1e-6)


def test_blanks_around_a_station_do_not_matter(
    signatures: dict[str, tf.types.experimental.ConcreteFunction], sample: pd.DataFrame
) -> None:
    table = sample.iloc[[500]].astype(object)
    padded = table.assign(start_station_id=f" {table.start_station_id.iloc[0]} ")
    np.testing.assert_array_equal(predict(signatures, padded), predict(signatures, table))


def test_an_empty_batch_is_answered(
    signatures: dict[str, tf.types.experimental.ConcreteFunction], sample: pd.DataFrame
) -> None:
    assert predict(signatures, sample.iloc[:0]).shape == (0,)


def test_the_signature_takes_one_value_a_trip(
    signatures: dict[str, tf.types.experimental.ConcreteFunction],
) -> None:
    _, inputs = signatures[serving.RAW_SIGNATURE].structured_input_signature
    assert {name: (spec.shape.as_list(), spec.dtype) for name, spec in inputs.items()} == {
        name: ([None], tf.string if name in TEXT else tf.float32) for name in features.MODEL_INPUTS
    }


def test_tensorflow_alone_can_serve_it(exported: Path) -> None:
    code = (
        "import sys, tensorflow as tf; model = tf.saved_model.load(sys.argv[1]); "
        f"print(model.signatures['{serving.EXAMPLES_SIGNATURE}'](tf.constant([b'']))['{serving.OUTPUT}'].numpy()); "
        "sys.exit('models' in sys.modules or 'keras_tuner' in sys.modules)"
    )
    # From a folder without the project's packages.
    subprocess.run([sys.executable, "-c", code, str(exported)], check=True, timeout=100, cwd=exported)
