"""ExampleValidator: which of its questions are asked, and that nothing else changes."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.anomalies.proto import custom_validation_config_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils, standard_artifacts
from tfx.types import standard_component_specs as keys

from custom_components import package_file
from custom_components.anomaly_gate import validator

ASKED = text_format.Parse(
    """
    feature_validations {
      feature_path { step: "temp" }
      validations { sql_expression: "feature.num_stats.mean < 1" severity: ERROR description: "It is too warm." }
    }
    feature_validations {
      feature_path { step: "rain" }
      validations { sql_expression: "feature.num_stats.mean < 1" severity: ERROR description: "It is too wet." }
    }
    """,
    custom_validation_config_pb2.CustomValidationConfig(),
)


def validate(
    folder: Path, table: pd.DataFrame, asked: custom_validation_config_pb2.CustomValidationConfig | None
) -> anomalies_pb2.Anomalies:
    """What the executor writes down of one split."""
    schema = schema_pb2.Schema()
    schema.feature.add(name="temp", type=schema_pb2.FLOAT)
    schema.feature.add(name="rain", type=schema_pb2.FLOAT).presence.min_fraction = 1.0
    inputs = {keys.STATISTICS_KEY: standard_artifacts.ExampleStatistics(), keys.SCHEMA_KEY: standard_artifacts.Schema()}
    anomalies = standard_artifacts.ExampleAnomalies()
    for name, made in (*inputs.items(), ("anomalies", anomalies)):
        made.uri = str(folder / name)
    statistics, kept = inputs.values()
    statistics.split_names = artifact_utils.encode_split_names(["train"])
    split = Path(statistics.uri) / "Split-train"
    split.mkdir(parents=True)
    (split / stats_artifact_utils.BINARY_PB_BASENAME).write_bytes(
        tfdv.generate_statistics_from_dataframe(table).SerializeToString()
    )
    Path(kept.uri).mkdir()
    (Path(kept.uri) / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    (folder / "asking").mkdir()
    (folder / "asking" / "__init__.py").touch()
    if asked is not None:
        (folder / "asking" / "questions.pbtxt").write_text(text_format.MessageToString(asked))
    name = "" if asked is None else package_file.name_of("asking", "questions.pbtxt")
    channels = [types.Channel(type=type(made)) for made in inputs.values()]
    node = validator.ExampleValidator(channels[0], channels[1], questions=name)
    properties = dict(node.exec_properties)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.delitem(sys.modules, "asking", raising=False)
        given = {name: [made] for name, made in inputs.items()}
        validator.Executor().Do(given, {"anomalies": [anomalies]}, properties)
    return anomalies_pb2.Anomalies.FromString((Path(anomalies.uri) / "Split-train" / "SchemaDiff.pb").read_bytes())


def validated(
    folder: Path, table: pd.DataFrame, asked: custom_validation_config_pb2.CustomValidationConfig | None
) -> dict[str, list[str]]:
    """The reasons by column."""
    found = validate(folder, table, asked)
    assert not found.data_missing
    return {name: [one.short_description for one in info.reason] for name, info in found.anomaly_info.items()}


def test_each_question_is_asked_where_its_column_is_there(tmp_path: Path) -> None:
    table = pd.DataFrame({"temp": [0.0, 0.5], "rain": [3.0, 4.0]})
    assert validated(tmp_path, table, ASKED) == {"rain": ["It is too wet."]}


def test_a_missing_column_is_told_by_the_schema_and_the_other_questions_are_asked(tmp_path: Path) -> None:
    found = validated(tmp_path, pd.DataFrame({"temp": [20.0, 21.0]}), ASKED)
    assert found == {"temp": ["It is too warm."], "rain": ["Column dropped"]}


@pytest.mark.parametrize("asked", [None, custom_validation_config_pb2.CustomValidationConfig()])
def test_no_questions(tmp_path: Path, asked: custom_validation_config_pb2.CustomValidationConfig | None) -> None:
    assert validated(tmp_path, pd.DataFrame({"temp": [1.0], "rain": [3.0]}), asked) == {}


def test_a_split_without_examples_is_an_anomaly(tmp_path: Path) -> None:
    table = pd.DataFrame({"temp": [1.0], "rain": [3.0]})
    assert validate(tmp_path, table.iloc[:0], ASKED).data_missing


def test_a_column_that_the_schema_does_not_have_is_no_anomaly(tmp_path: Path) -> None:
    table = pd.DataFrame({"temp": [20.0, 21.0], "rain": [None, None], "id": [1, 2], "note": ["", "a"], "": [1.5, 2.5]})
    assert validated(tmp_path, table, None) == {"rain": ["Column dropped"]}


def test_a_question_about_such_a_column_is_asked(tmp_path: Path) -> None:
    asked = custom_validation_config_pb2.CustomValidationConfig()
    asked.feature_validations.extend(ASKED.feature_validations)
    asked.feature_validations[0].feature_path.step[0] = "wind"
    table = pd.DataFrame({"temp": [20.0], "rain": [0.5], "wind": [3.0]})
    assert validated(tmp_path, table, asked) == {"wind": ["It is too warm."]}
