"""AnomalyGate: what it says, and that it stops at what TFDV finds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.anomalies.proto import custom_validation_config_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2, path_pb2, schema_pb2, statistics_pb2
from tfx import types
from tfx.components.example_validator import executor as example_validator
from tfx.types import artifact_utils, standard_artifacts

from custom_components.anomaly_gate import executor
from custom_components.anomaly_gate.component import AnomalyGate
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


def examples(folder: Path, *rows: dict[str, object]) -> standard_artifacts.Examples:
    """Two splits; the second begins with the second row."""
    made = standard_artifacts.Examples()
    made.uri = str(folder)
    made.split_names = artifact_utils.encode_split_names(["train", "test"])
    for split, kept in (("train", rows), ("test", rows[1:])):
        path = folder / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"
        path.parent.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
            for row in kept:
                example = tf.train.Example()
                for name, value in row.items():
                    feature = example.features.feature[name]
                    if isinstance(value, str):
                        feature.bytes_list.value.append(value.encode())
                    elif isinstance(value, int):
                        feature.int64_list.value.append(value)
                    elif isinstance(value, float):
                        feature.float_list.value.append(value)
                    assert value is None or feature.WhichOneof("kind")
                writer.write(example.SerializeToString())
    return made


def test_a_function_is_asked_about_rows_from_all_over_each_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asked_about_rows.py").write_text(
        "def relations(rows):\n    return {'temp': f'{rows}'} if rows[0]['id'] == 1 else {}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(executor, "ROWS", 2)
    node = AnomalyGate(
        types.Channel(type=standard_artifacts.ExampleAnomalies),
        types.Channel(type=standard_artifacts.Examples),
        relations="asked_about_rows.relations",
    )
    rows: list[dict[str, object]] = [
        {"id": 1, "temp": 0.5, "place": "Caf\u00e9", "none": None},
        {"id": 2, "temp": 1.5},
        {"id": 3},
    ]
    inputs = {
        executor.ANOMALIES: [artifact(tmp_path, {"train": anomalies(prcp="Too wet."), "test": anomalies()})],
        executor.EXAMPLES: [examples(tmp_path / "examples", *rows)],
    }
    with pytest.raises(AnomalyError) as raised:
        executor.Executor().Do(inputs, {}, dict(node.exec_properties))
    prcp, temp = str(raised.value).splitlines()[1:]
    assert prcp == "  feature 'prcp': Too wet. (split train)"
    found = re.fullmatch(r"  feature 'temp': (.*) \(split train\)", temp)
    assert found is not None
    assert ast.literal_eval(found[1]) == [rows[0], rows[2]]


def test_a_function_needs_examples() -> None:
    with pytest.raises(ValueError, match=r"models\.x\.checks\.relations needs examples"):
        AnomalyGate(types.Channel(type=standard_artifacts.ExampleAnomalies), relations="models.x.checks.relations")
