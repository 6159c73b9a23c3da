"""A request for the model server, made from a row of the test split."""

from __future__ import annotations

import dataclasses

from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


@dataclasses.dataclass(frozen=True)
class Request:
    """One instance in row form, and what really happened: the label's value."""

    instance: dict[str, Any]
    actual: float


def from_split(split_dir: Path, model_dir: Path, label: str) -> Request:
    """Makes a request of the first example of a split.

    Args:
      split_dir: folder of gzipped TFRecords of tf.Examples.
      model_dir: SavedModel that will answer; its default signature says which features it wants and of which type.
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
    """The value in the type that the signature asks for; in a list where each row is one."""
    if info.dtype == tf.string.as_datatype_enum:
        converted: Any = "" if value is None else value.decode() if isinstance(value, bytes) else str(value)
    elif tf.as_dtype(info.dtype).is_integer:
        converted = int(value or 0)
    else:
        converted = float("nan") if value is None else float(value)
    return [converted] if len(info.tensor_shape.dim) > 1 else converted
