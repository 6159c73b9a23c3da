"""Asks the model server about a trip of the test split whose true duration is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfx_pipeline.run import serving
from tfx_pipeline.settings import Settings

SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


@dataclasses.dataclass(frozen=True)
class Request:
    """One instance in row form, and the true value of its label."""

    instance: dict[str, Any]
    actual: float


@dataclasses.dataclass(frozen=True)
class Answer:
    """The server's answer: the version that answered, its address, and the prediction in the label's unit."""

    version: int
    url: str
    request: Request
    predicted: float


def ask(settings: Settings, split_dir: Path, label: str) -> Answer:
    """Starts the server on the last pushed model, asks it about the first example of a split, and stops it.

    Args:
      settings: of the run.
      split_dir: folder of gzipped TFRecords of tf.Examples.
      label: the feature with the true value.

    Returns:
      The server's answer.

    Raises:
      NothingServedError: no model has been pushed yet.
      PipelineError: the server did not start.
      RequestError: the server rejected the request.
    """
    with serving.start(settings) as server:
        version = serving.pushed_versions(settings)[-1]
        asked = from_split(split_dir, Path(settings.serving_dir) / str(version), label)
        (prediction,) = server.predict([asked.instance])
        return Answer(version, f"{server.model_url}:predict", asked, number(prediction))


def number(prediction: Any) -> float:
    """The single number in a prediction of a model with one output, however it is nested."""
    while isinstance(prediction, (dict, list)):
        (prediction,) = prediction.values() if isinstance(prediction, dict) else prediction
    return float(prediction)


def from_split(split_dir: Path, model_dir: Path, label: str) -> Request:
    """Makes a request from the first example of a split.

    Args:
      split_dir: folder of gzipped TFRecords of tf.Examples.
      model_dir: SavedModel that will answer; its default signature determines the features and their types.
      label: the feature with the true value.
    """
    files = [str(path) for path in sorted(split_dir.iterdir())]
    record = next(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
    features = {name: _value(feature) for name, feature in tf.train.Example.FromString(record).features.feature.items()}
    inputs = _default_signature(model_dir).inputs
    return Request({name: _as_input(features[name], info) for name, info in inputs.items()}, float(features[label]))


def _default_signature(model_dir: Path) -> meta_graph_pb2.SignatureDef:
    saved = saved_model_pb2.SavedModel.FromString((model_dir / "saved_model.pb").read_bytes())
    signature: meta_graph_pb2.SignatureDef = saved.meta_graphs[0].signature_def[SIGNATURE]
    return signature


def _value(feature: tf.train.Feature) -> Any:
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else []
    return values[0] if values else None


def _as_input(value: Any, info: meta_graph_pb2.TensorInfo) -> Any:
    """The value in the type that the signature requires; in a list if each row is one."""
    if info.dtype == tf.string.as_datatype_enum:
        converted: Any = "" if value is None else value.decode() if isinstance(value, bytes) else str(value)
    elif tf.as_dtype(info.dtype).is_integer:
        converted = int(value or 0)
    else:
        converted = float("nan") if value is None else float(value)
    return [converted] if len(info.tensor_shape.dim) > 1 else converted
