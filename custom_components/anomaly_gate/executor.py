"""What AnomalyGate does when it runs."""

from __future__ import annotations

import importlib
import math
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import executor as example_validator
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

ANOMALIES = "anomalies"
EXAMPLES = "examples"
HINT = "hint"
RELATIONS = "relations"

ROWS = 2_000
"""At most, of each split, for the function that looks at rows."""

_BATCH = 4_096

Row = Mapping[str, "int | float | str | None"]


class AnomalyError(ValueError):
    """The data does not fit the schema; the text names the features and the reasons."""


def findings(anomalies: anomalies_pb2.Anomalies) -> Iterator[str]:
    """Yields one line per anomaly of a split: the feature and the reason, or what is wrong with the whole split."""
    if anomalies.data_missing:
        yield "no examples at all"
    if anomalies.HasField("dataset_anomaly_info"):
        yield anomalies.dataset_anomaly_info.description
    for feature, info in sorted(anomalies.anomaly_info.items()):
        reasons = [_words(reason) for reason in info.reason]
        yield f"feature '{feature}': {' '.join(reasons) or info.description}"


def _words(reason: anomalies_pb2.AnomalyInfo.Reason) -> str:
    if reason.type == anomalies_pb2.AnomalyInfo.CUSTOM_VALIDATION:
        # The wording of whoever wrote the custom validation; TFDV's own wording would be its SQL.
        return str(reason.short_description)
    return str(reason.description or reason.short_description)


def message(by_split: Mapping[str, anomalies_pb2.Anomalies], hint: str) -> str | None:
    """The error text for the anomalies of all splits; None where there are none.

    A finding shared by several splits appears once, with the names of the splits.

    Args:
      by_split: the anomalies, by the name of their split.
      hint: ends the message; see `AnomalyGate`.
    """
    splits: dict[str, list[str]] = {}
    for split, anomalies in by_split.items():
        for finding in findings(anomalies):
            splits.setdefault(finding, []).append(split)
    if not splits:
        return None
    lines = [f"  {finding} (split {', '.join(names)})" for finding, names in splits.items()]
    return "\n".join(["The data does not fit the schema:", *lines, *([hint] if hint else [])])


def rows(files: Sequence[str]) -> list[Row]:
    """Samples examples evenly from gzipped TFRecord files: values by column, the first where a column has several.

    Evenly, because the first examples of two concatenated files would all come from one of them.
    """
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    # In batches: parsing one at a time takes ten times as long.
    count = sum(len(batch) for batch in records.batch(_BATCH).as_numpy_iterator())
    sample = records.shard(max(1, math.ceil(count / ROWS)), 0)
    return [_row(tf.train.Example.FromString(record)) for record in sample.as_numpy_iterator()]


def _row(example: tf.train.Example) -> Row:
    return {name: _value(feature) for name, feature in example.features.feature.items()}


def _value(feature: tf.train.Feature) -> int | float | str | None:
    kind = feature.WhichOneof("kind")
    value = next(iter(getattr(feature, kind).value), None) if kind else None
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class Executor(base_executor.BaseExecutor):
    """Reads the anomalies of each split, checks the relations, and raises if anything is wrong."""

    def Do(  # noqa: N802  (the name is TFX's)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the one artifact of `input_dict["anomalies"]`, and of `input_dict["examples"]` if there is one.

        Raises:
          AnomalyError: an anomaly in any split.
        """
        artifact = artifact_utils.get_single_instance(input_dict[ANOMALIES])
        by_split = {}
        for split in artifact_utils.decode_split_names(artifact.split_names):
            path = posixpath.join(artifact_utils.get_split_uri([artifact], split), example_validator.DEFAULT_FILE_NAME)
            with fileio.open(path, "rb") as file:
                by_split[split] = anomalies_pb2.Anomalies.FromString(file.read())
        if path := exec_properties.get(RELATIONS):
            ask = _function(path)
            for split, found in by_split.items():
                files = sorted(
                    fileio.glob(io_utils.all_files_pattern(artifact_utils.get_split_uri(input_dict[EXAMPLES], split)))
                )
                for feature, told in ask(rows(files)).items():
                    found.anomaly_info[feature].reason.add(
                        type=anomalies_pb2.AnomalyInfo.CUSTOM_VALIDATION, short_description=told
                    )
        text = message(by_split, exec_properties[HINT])
        if text:
            raise AnomalyError(text)


def _function(path: str) -> Callable[[Sequence[Row]], Mapping[str, str]]:
    module, _, name = path.rpartition(".")
    found: Callable[[Sequence[Row]], Mapping[str, str]] = getattr(importlib.import_module(module), name)
    return found
