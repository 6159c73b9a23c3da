"""AnomalyGate: what it says, and that it stops at what TFDV finds."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.anomalies.proto import custom_validation_config_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2, path_pb2, schema_pb2, statistics_pb2
from tfx.components.example_validator import executor as example_validator
from tfx.types import artifact_utils, standard_artifacts

from custom_components.anomaly_gate import executor
from custom_components.anomaly_gate.executor import AnomalyError


def anomalies(**reasons: str) -> anomalies_pb2.Anomalies:
    found = anomalies_pb2.Anomalies()
    for feature, reason in reasons.items():
        found.anomaly_info[feature].reason.add(description=reason)
    return found


def test_no_anomaly_no_message() -> None:
    assert executor.message({"train": anomalies(), "eval": anomalies()}, "hint") is None


def test_message_names_feature_reason_and_splits_once_each() -> None:
    text = executor.message(
        {"train": anomalies(temp="Too hot.", prcp="Too wet."), "eval": anomalies(temp="Too hot.")}, "Mend the data"
    )
    assert text is not None
    lines = text.splitlines()
    assert sorted(lines[1:3]) == [
        "  feature 'prcp': Too wet. (split train)",
        "  feature 'temp': Too hot. (split train, eval)",
    ]
    assert lines[-1] == "Mend the data"


def test_a_question_of_the_model_is_told_in_its_own_words() -> None:
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    feature = statistics.datasets.add(num_examples=10).features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
    feature.path.step.append("temp")
    feature.num_stats.common_stats.num_non_missing = 10
    feature.num_stats.mean = 15.0
    schema = schema_pb2.Schema()
    schema.feature.add(name="temp", type=schema_pb2.FLOAT)
    asked = custom_validation_config_pb2.CustomValidationConfig()
    question = asked.feature_validations.add(feature_path=path_pb2.Path(step=["temp"])).validations.add()
    question.sql_expression = "feature.num_stats.mean >= 30"
    question.severity = anomalies_pb2.AnomalyInfo.ERROR
    question.description = "Likely Celsius."
    found = tfdv.validate_statistics(statistics, schema, custom_validation_config=asked)
    text = executor.message({"train": found}, "")
    assert text is not None
    assert text.splitlines()[1:] == ["  feature 'temp': Likely Celsius. (split train)"]


def test_missing_data_and_anomalies_of_the_whole_split_are_told() -> None:
    missing = anomalies_pb2.Anomalies(data_missing=True)
    whole = anomalies_pb2.Anomalies()
    whole.dataset_anomaly_info.description = "Too few examples"
    text = executor.message({"train": missing, "test": whole}, "")
    assert text is not None
    assert "no examples at all (split train)" in text
    assert "Too few examples (split test)" in text


def artifact(folder: Path, by_split: dict[str, anomalies_pb2.Anomalies]) -> standard_artifacts.ExampleAnomalies:
    made = standard_artifacts.ExampleAnomalies()
    made.uri = str(folder)
    made.split_names = artifact_utils.encode_split_names(list(by_split))
    for split, found in by_split.items():
        path = folder / f"Split-{split}" / example_validator.DEFAULT_FILE_NAME
        path.parent.mkdir()
        path.write_bytes(found.SerializeToString())
    return made


def run(made: standard_artifacts.ExampleAnomalies) -> None:
    executor.Executor().Do({executor.ANOMALIES: [made]}, {}, {executor.HINT: "Mend it"})


def test_executor_lets_clean_data_through(tmp_path: Path) -> None:
    run(artifact(tmp_path, {"train": anomalies(), "eval": anomalies()}))


def test_executor_stops_at_what_tfdv_finds(tmp_path: Path) -> None:
    schema = schema_pb2.Schema()
    schema.feature.add(name="temp", type=schema_pb2.FLOAT)
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    split = statistics.datasets.add(num_examples=10)
    feature = split.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
    feature.path.step.append("temp")
    feature.string_stats.common_stats.num_non_missing = 10
    found = tfdv.validate_statistics(statistics, schema)
    with pytest.raises(AnomalyError, match=r"(?s)feature 'temp'.*FLOAT.*\(split train\).*Mend it"):
        run(artifact(tmp_path, {"train": found}))
