"""ExampleValidator: TFX's, except that custom validations run only where the statistics have their columns.

A split without examples is an anomaly: TFDV finds nothing wrong with it, whatever the schema requires to be present. A
column that the schema does not have is not one: nothing reads it.

The custom validations are a file in a package. TFX's component takes them as a message and records its type as well,
which makes the node's description 148 KB long. A step on Kubeflow gets it as an argument, and Linux starts no program
with an argument longer than 128 KiB.

TFDV 1.15.1 abandons the whole validation, including the anomalies that the schema found, over one custom validation of
a column that the statistics do not have ("INTERNAL: Failed to run custom validations";
findings/tfdv_custom_validation.sh). A missing column is for the schema to report.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any, ClassVar

from google.protobuf import text_format
from tensorflow_data_validation.anomalies.proto import custom_validation_config_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
from tfx import types
from tfx.components.example_validator import executor, labels
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts
from tfx.types import standard_component_specs as keys
from tfx.utils import json_utils, writer_utils

from custom_components import package_file

QUESTIONS = "questions"


def answerable(
    config: custom_validation_config_pb2.CustomValidationConfig,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> custom_validation_config_pb2.CustomValidationConfig:
    """The custom validations of columns that the statistics have.

    Args:
      config: the custom validations.
      statistics: of one split.
    """
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
    """Removes the anomalies that TFDV reports for columns that the schema does not have."""
    for name, info in list(anomalies.anomaly_info.items()):
        kept = [reason for reason in info.reason if reason.type != anomalies_pb2.AnomalyInfo.SCHEMA_NEW_COLUMN]
        if not kept:
            del anomalies.anomaly_info[name]
        elif len(kept) < len(info.reason):
            info.ClearField("reason")
            info.reason.extend(kept)


class Executor(executor.Executor):
    """Skips custom validations of missing columns, ignores new columns; reports a split without examples."""

    def Do(  # noqa: N802  (the name is TFX's)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> Any:
        """As TFX's, with the custom validations read from their file.

        Raises:
          ModuleNotFoundError: the package that holds the custom validations is not installed.
          FileNotFoundError: the package has no such file.
          ParseError: the file holds no CustomValidationConfig in text format.
        """
        config = None
        if name := exec_properties[QUESTIONS]:
            text = package_file.find(name).read_text(encoding="utf-8")
            config = text_format.Parse(text, custom_validation_config_pb2.CustomValidationConfig())
        return super().Do(input_dict, output_dict, {**exec_properties, keys.CUSTOM_VALIDATION_CONFIG_KEY: config})

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


class ExampleValidatorSpec(component_spec.ComponentSpec):
    """As TFX's, with a file's name in place of the custom validations."""

    PARAMETERS: ClassVar = {
        keys.EXCLUDE_SPLITS_KEY: component_spec.ExecutionParameter(type=str),
        QUESTIONS: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = keys.ExampleValidatorSpec.INPUTS
    OUTPUTS: ClassVar = keys.ExampleValidatorSpec.OUTPUTS


class ExampleValidator(base_component.BaseComponent):
    """Output `anomalies`, as TFX's component has it."""

    SPEC_CLASS = ExampleValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        questions: str = "",
        exclude_splits: Sequence[str] = (),
    ) -> None:
        """Validates each split.

        Args:
          statistics: a channel of ExampleStatistics.
          schema: a channel of Schema.
          questions: custom validations of the statistics: the name, as made by `package_file.name_of`, of a
            CustomValidationConfig in text format. None if empty.
          exclude_splits: names of splits that are left out.
        """
        super().__init__(
            spec=ExampleValidatorSpec(
                **{
                    keys.STATISTICS_KEY: statistics,
                    keys.SCHEMA_KEY: schema,
                    keys.EXCLUDE_SPLITS_KEY: json_utils.dumps(list(exclude_splits)),
                    QUESTIONS: questions,
                    keys.ANOMALIES_KEY: types.Channel(type=standard_artifacts.ExampleAnomalies),
                }
            )
        )
