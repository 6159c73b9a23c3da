"""Transform without a pipeline: the same analysis and graph over a table, for benchmarks, tests and notebooks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import apache_beam as beam
import pandas as pd
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from google.protobuf import text_format
from tensorflow_data_validation.anomalies.proto import custom_validation_config_pb2
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

from models.bikes import features
from models.bikes.preprocessing import preprocessing_fn
from models.bikes.training import Trips

SCHEMA_PATH: Final = Path(__file__).parent / "schema" / "schema.pbtxt"
VALIDATIONS_PATH: Final = SCHEMA_PATH.with_name("validations.pbtxt")

_INPUTS = (features.LABEL_KEY, *features.MODEL_INPUTS)


def read_schema() -> schema_pb2.Schema:
    """The schema that the data is held to."""
    return text_format.Parse(SCHEMA_PATH.read_text(encoding="utf-8"), schema_pb2.Schema())


def read_validations() -> custom_validation_config_pb2.CustomValidationConfig:
    """The questions that the data has to answer besides."""
    config = custom_validation_config_pb2.CustomValidationConfig()
    return text_format.Parse(VALIDATIONS_PATH.read_text(encoding="utf-8"), config)


def analyze(table: pd.DataFrame, folder: Path) -> tft.TFTransformOutput:
    """Runs Transform's analysis over trips and writes the transform graph to `folder`.

    Args:
      table: the columns of the schema, or more; an empty (NaN, None) cell is a missing value.
      folder: where the graph goes; must not hold one already.
    """
    spec = schema_utils.schema_as_feature_spec(read_schema()).feature_spec
    metadata = dataset_metadata.DatasetMetadata.from_feature_spec({name: spec[name] for name in _INPUTS})
    options = beam.options.pipeline_options.PipelineOptions(["--direct_running_mode=in_memory"])
    with (
        tempfile.TemporaryDirectory() as scratch,
        beam.Pipeline(options=options) as pipeline,
        tft_beam.Context(temp_dir=scratch),
    ):
        rows = pipeline | beam.Create(_rows(table))
        transform_fn = (rows, metadata) | tft_beam.AnalyzeDataset(preprocessing_fn)
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder))
    metadata_io.write_metadata(metadata, str(folder / tft.TFTransformOutput.RAW_METADATA_DIR))
    return tft.TFTransformOutput(str(folder))


def examples(table: pd.DataFrame) -> list[bytes]:
    """Each trip as the serialized tf.Example that ExampleGen makes of it, without the columns that nobody reads."""
    kinds = {feature.name: feature.type for feature in read_schema().feature}
    return [
        tf.train.Example(
            features=tf.train.Features(feature={name: _feature(kinds[name], value) for name, value in row.items()})
        ).SerializeToString()
        for row in _rows(table, tuple(name for name in table.columns if name in kinds))
    ]


def transform(output: tft.TFTransformOutput, table: pd.DataFrame) -> Trips:
    """Trips as the network reads them."""
    spec = output.raw_feature_spec()
    raw = tf.io.parse_example(tf.constant(examples(table[list(_INPUTS)])), {name: spec[name] for name in _INPUTS})
    columns = dict(output.transform_features_layer()(raw))
    durations = columns.pop(features.LABEL_KEY)
    return Trips(columns, durations)


def _rows(table: pd.DataFrame, names: tuple[str, ...] = _INPUTS) -> list[dict[str, list[object]]]:
    records = table[list(names)].astype(object).to_dict(orient="records")
    return [{str(name): [] if pd.isna(value) else [value] for name, value in record.items()} for record in records]


def _feature(kind: int, values: list[object]) -> tf.train.Feature:
    if kind == schema_pb2.INT:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(str(value)) for value in values]))
    if kind == schema_pb2.FLOAT:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(value).encode() for value in values]))
