"""TFX's ExampleValidator, whose own questions of the data are asked only where there is somebody to answer them.

A split without examples is an anomaly: TFDV finds nothing wrong with it, whatever the schema asks to be there. A column
that the schema does not have is none: nothing reads it.

TFDV 1.15.1 gives up the whole validation, with the anomalies that the schema found, over one question about a column
that the statistics do not have ("INTERNAL: Failed to run custom validations"; findings/tfdv_custom_validation.sh). A
column that is missing is for the schema to tell.
"""

from __future__ import annotations

import posixpath
from typing import Any

from tensorflow_data_validation.anomalies.proto import custom_validation_config_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
from tfx.components import example_validator
from tfx.components.example_validator import executor, labels
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_component_specs as keys
from tfx.utils import writer_utils


def answerable(
    config: custom_validation_config_pb2.CustomValidationConfig,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> custom_validation_config_pb2.CustomValidationConfig:
    """The questions about columns that the statistics have."""
    paths = {
        tuple(feature.path.step) or (feature.name,) for dataset in statistics.datasets for feature in dataset.features
    }
    kept = custom_validation_config_pb2.CustomValidationConfig()
    kept.CopyFrom(config)
    del kept.feature_validations[:]
    kept.feature_validations.extend(
        asked for asked in config.feature_validations if tuple(asked.feature_path.step) in paths
    )
    return kept


def forget_new_columns(anomalies: anomalies_pb2.Anomalies) -> None:
    """Takes out what TFDV says of columns that the schema does not have."""
    for name, info in list(anomalies.anomaly_info.items()):
        kept = [reason for reason in info.reason if reason.type != anomalies_pb2.AnomalyInfo.SCHEMA_NEW_COLUMN]
        if not kept:
            del anomalies.anomaly_info[name]
        elif len(kept) < len(info.reason):
            info.ClearField("reason")
            info.reason.extend(kept)


class Executor(executor.Executor):
    """Leaves out questions about columns that are missing and columns that are new; finds a split without examples."""

    def _Validate(  # noqa: N802  (the name is TFX's)
        self, inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> anomalies_pb2.Anomalies:
        statistics = inputs[keys.STATISTICS_KEY]
        config = inputs[keys.CUSTOM_VALIDATION_CONFIG_KEY]
        if config is not None:
            config = answerable(config, statistics)
        anomalies = super()._Validate({**inputs, keys.CUSTOM_VALIDATION_CONFIG_KEY: config}, outputs)
        if not any(dataset.num_examples for dataset in statistics.datasets):
            anomalies.data_missing = True
        forget_new_columns(anomalies)
        path = posixpath.join(outputs[labels.SCHEMA_DIFF_PATH], executor.DEFAULT_FILE_NAME)
        writer_utils.write_anomalies(path, anomalies)
        return anomalies


class ExampleValidator(example_validator.component.ExampleValidator):
    """Takes and gives what TFX's does."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
