"""ModelSelector as a node, on real SavedModels and TFRecords."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf
from tfx import types
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from custom_components.model_selector import executor
from custom_components.model_selector.component import MAX_CANDIDATES, ModelSelector


class Constant(tf.Module):
    """Predicts one number for every example."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples: tf.Tensor) -> tf.Tensor:
        return tf.fill([tf.shape(examples)[0]], self.value)


def model(folder: Path, value: float) -> standard_artifacts.Model:
    made = standard_artifacts.Model()
    made.uri = str(folder)
    module = Constant(value)
    tf.saved_model.save(module, path_utils.serving_model_dir(made.uri), signatures={"serving_examples": module.serve})
    return made


def examples(folder: Path, *labels: int) -> standard_artifacts.Examples:
    made = standard_artifacts.Examples()
    made.uri = str(folder)
    made.split_names = artifact_utils.encode_split_names(["train", "eval"])
    made.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    (folder / "Split-eval").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "Split-eval" / "data_tfrecord-0.gz"), options="GZIP") as writer:
        for label in labels:
            example = tf.train.Example()
            example.features.feature["duration"].int64_list.value.append(label)
            writer.write(example.SerializeToString())
    return made


def test_the_best_model_is_copied_and_its_choice_is_noted(tmp_path: Path) -> None:
    output = standard_artifacts.Model()
    output.uri = str(tmp_path / "chosen")
    inputs: dict[str, list[types.Artifact]] = {
        "examples": [examples(tmp_path / "examples", 100, 110)],
        "model_1": [model(tmp_path / "one", 90.0)],
        "model_2": [model(tmp_path / "two", 104.0)],
        "model_3": [],
    }
    properties = {"label_key": "duration", "signature": "serving_examples", "split": "eval"}
    executor.Executor().Do(inputs, {"model": [output]}, properties)
    chosen = tf.saved_model.load(path_utils.serving_model_path(output.uri)).signatures["serving_examples"]
    (prediction,) = chosen(tf.constant(["x"])).values()
    assert prediction.numpy() == [104.0]
    assert output.get_int_custom_property(executor.PROPERTY_CANDIDATE) == 2
    assert output.get_float_custom_property(executor.PROPERTY_MAE) == 5.0
    assert json.loads(output.get_string_custom_property(executor.PROPERTY_SCORES)) == {"1": 15.0, "2": 5.0}


def test_component_takes_one_to_the_maximum_of_models() -> None:
    data = types.Channel(type=standard_artifacts.Examples)
    channels = [types.Channel(type=standard_artifacts.Model) for _ in range(MAX_CANDIDATES)]
    node = ModelSelector(examples=data, models=channels, label_key="duration")
    assert len(node.inputs) == MAX_CANDIDATES + 1
    for wrong in ([], [*channels, channels[0]]):
        with pytest.raises(ValueError, match=f"takes 1 to {MAX_CANDIDATES} models"):
            ModelSelector(examples=data, models=wrong, label_key="duration")
