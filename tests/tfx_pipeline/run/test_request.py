"""Requests made from examples."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from tfx_pipeline.run import request


class Model(tf.Module):
    """Takes a text, a whole number, a number, and a number in a row of its own."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="station"),
            tf.TensorSpec([None], tf.int64, name="day"),
            tf.TensorSpec([None], tf.float32, name="temp"),
            tf.TensorSpec([None, 1], tf.float32, name="prcp"),
        ]
    )
    def serve(self, station: tf.Tensor, day: tf.Tensor, temp: tf.Tensor, prcp: tf.Tensor) -> tf.Tensor:
        return temp + prcp[:, 0] + tf.cast(day, tf.float32) + tf.cast(tf.strings.length(station), tf.float32)


def write(folder: Path, example: tf.train.Example) -> None:
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "data_tfrecord-0.gz"), options="GZIP") as writer:
        writer.write(example.SerializeToString())


def test_values_take_the_types_and_shapes_of_the_signature(tmp_path: Path) -> None:
    model = Model()
    tf.saved_model.save(model, str(tmp_path / "model"), signatures=model.serve)
    example = tf.train.Example()
    features = example.features.feature
    features["station"].int64_list.value.append(17)
    features["day"].int64_list.value.append(3)
    features["temp"].float_list.value.append(54.5)
    features["prcp"].float_list.value.append(0.25)
    features["bike_id"].bytes_list.value.append(b"na")
    features["duration"].int64_list.value.append(600)
    write(tmp_path / "split", example)
    made = request.from_split(tmp_path / "split", tmp_path / "model", "duration")
    assert made == request.Request({"station": "17", "day": 3, "temp": 54.5, "prcp": [0.25]}, actual=600.0)


@pytest.mark.parametrize("prediction", [612.5, [612.5], {"duration": 612.5}, {"duration": [612.5]}])
def test_the_number_in_a_prediction(prediction: object) -> None:
    assert request.number(prediction) == 612.5
