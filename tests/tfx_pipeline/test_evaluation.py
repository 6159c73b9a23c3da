"""The gate's thresholds and its verdict in words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tfx.components.evaluator import executor as evaluator
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils, proto_utils

from tfx_pipeline import evaluation
from tfx_pipeline.evaluation import Verdict

NAN = math.nan
Row = tuple[int, float, float]
"""What is true of a row, what the candidate predicts, and what the baseline does."""


class Oracle(tf.Module):
    """A model that predicts what stands in a feature of its examples."""

    def __init__(self, feature: str) -> None:
        super().__init__()
        self.feature = feature

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {self.feature: tf.io.FixedLenFeature([], tf.float32)}
        return {"prediction": tf.io.parse_example(examples, spec)[self.feature]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, standard_artifacts.Model]:
    """A candidate and a baseline, which predict the features of these names."""
    made = {}
    for name in ("model", "baseline_model"):
        made[name] = standard_artifacts.Model()
        made[name].uri = str(tmp_path_factory.mktemp(name))
        model = Oracle(name)
        path = path_utils.serving_model_dir(made[name].uri)
        tf.saved_model.save(model, path, signatures={evaluation.SIGNATURE: model.serve})
    return made


def examples(folder: Path, rows: Sequence[Row]) -> standard_artifacts.Examples:
    """An artifact with these rows in the split that the gate looks at."""
    split = folder / f"Split-{evaluation.SPLIT}"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "data_tfrecord-00000-of-00001.gz"), options="GZIP") as writer:
        for label, candidate, baseline in rows:
            example = tf.train.Example()
            feature = example.features.feature
            feature["duration"].int64_list.value.append(label)
            feature["model"].float_list.value.append(candidate)
            feature["baseline_model"].float_list.value.append(baseline)
            writer.write(example.SerializeToString())
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names([evaluation.SPLIT])
    return artifact


@pytest.mark.parametrize(
    ("rows", "with_baseline", "blessed", "told"),
    [
        pytest.param(
            [(100, 101, 110)] * 5, True, True, r"through: MAE 1\.0 s.* last blessed model's 10\.0 s", id="better"
        ),
        pytest.param(
            [(100, 100, 100)] * 5, True, True, r"through: MAE 0\.0 s.* last blessed model's 0\.0 s", id="equal at 0"
        ),
        pytest.param(
            [(100, 101, 100)] * 5, True, False, r"MAE of 0\.0 s is better by 1\.0 s", id="worse than a baseline at 0"
        ),
        pytest.param(
            [*[(100, 101, 110)] * 4, (100, 101, NAN)],
            True,
            True,
            r"through: .* last blessed model predicts NaN or infinity",
            id="baseline with a NaN",
        ),
        pytest.param(
            [*[(100, 100, 100)] * 4, (100, NAN, 100)],
            False,
            False,
            r"refused the model: for 1 of the 5 rows of the test split it predicts NaN or infinity$",
            id="candidate with a NaN",
        ),
        pytest.param([], True, False, r"refused the model: the test split has no rows", id="no rows"),
    ],
)
@pytest.mark.timeout(300)
def test_the_gate(
    rows: Sequence[Row],
    with_baseline: bool,
    blessed: bool,
    told: str,
    models: dict[str, standard_artifacts.Model],
    tmp_path: Path,
) -> None:
    inputs = {name: [model] for name, model in models.items() if with_baseline or name == "model"}
    inputs["examples"] = [examples(tmp_path / "examples", rows)]
    outputs = {"evaluation": standard_artifacts.ModelEvaluation(), "blessing": standard_artifacts.ModelBlessing()}
    for name, output in outputs.items():
        output.uri = str(tmp_path / name)
    properties = {
        "eval_config": proto_utils.proto_to_json(evaluation.eval_config("duration", 650, 0)),
        "example_splits": json.dumps([evaluation.SPLIT]),
    }
    evaluator.Executor().Do(inputs, {name: [output] for name, output in outputs.items()}, properties)
    verdict = evaluation.read_verdict(outputs["evaluation"].uri, 650, 0)
    assert (Path(outputs["blessing"].uri) / "BLESSED").exists() == verdict.passed == blessed
    assert re.search(told, verdict.line()), verdict.line()


def verdict(**more: float | bool | None) -> Verdict:
    values = {
        "passed": False,
        "rows": 400,
        "unpredicted": 0,
        "mae": 300.0,
        "rmse": 400.0,
        "baseline_mae": None,
        "max_mae": 600.0,
        "max_worsening": 0.0,
    }
    return Verdict(**{**values, **more})  # type: ignore[arg-type]


def test_thresholds_are_on_the_overall_slice_only() -> None:
    config = evaluation.eval_config("duration", 600, 5)
    (spec,) = config.metrics_specs
    gates = {metric.class_name: metric.per_slice_thresholds for metric in spec.metrics if metric.per_slice_thresholds}
    assert not any(metric.HasField("threshold") for metric in spec.metrics)
    assert {name: gate[0].threshold.value_threshold.upper_bound.value for name, gate in gates.items()} == {
        "MeanAbsoluteErrorOfAll": 600,
        "Unpredicted": 0,
        "Worsening": 5,
    }
    assert all(list(gate[0].slicing_specs) == [tfma.SlicingSpec()] for gate in gates.values())


def test_a_pass_names_limit_and_baseline() -> None:
    assert verdict(passed=True).line() == (
        "The gate let the model through: MAE 300.0 s, RMSE 400.0 s on the test split (limit 600 s)"
    )
    assert "the last blessed model's 310.0 s" in verdict(passed=True, baseline_mae=310.0).line()


def test_a_refusal_names_what_was_measured_and_what_was_allowed() -> None:
    line = verdict(max_mae=250.0).line()
    assert line.startswith("The gate refused the model: MAE 300.0 s")
    assert "above the limit of 250 s (MAX_MAE_SECONDS)" in line
    line = verdict(baseline_mae=290.0).line()
    assert "the last blessed model's MAE of 290.0 s is better by 10.0 s (MAX_WORSENING_SECONDS allows 0 s)" in line
    assert "limit" not in line
    both = verdict(max_mae=250.0, baseline_mae=290.0).line()
    assert "250 s" in both
    assert "290.0 s" in both
    assert "\n" not in both


def test_what_cannot_be_measured_is_told_as_such() -> None:
    assert "for 3 of the 400 rows of the test split it predicts NaN" in verdict(mae=NAN, unpredicted=3).line()
    assert "a label is NaN or infinite" in verdict(mae=NAN).line()
    assert "the test split has no rows" in verdict(mae=NAN, rmse=NAN, rows=0).line()


def test_the_error_of_a_diverged_model_is_told_in_few_digits() -> None:
    line = verdict(mae=1e200, rmse=math.inf).line()
    assert "MAE 1e+200 s, RMSE inf s on the test split; the MAE is above the limit of 600 s" in line
    assert "too large to add up" in verdict(mae=math.inf, rmse=math.inf).line()
    assert "is better by 1e+200 s" in verdict(mae=1e200, baseline_mae=290.0).line()
