"""The pipeline's shape, compiled and never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tfx.dsl.compiler.compiler import Compiler
from tfx.proto.orchestration import pipeline_pb2

from tests.tfx_pipeline.home import Home
from tfx_pipeline import nodes, pipeline
from tfx_pipeline.settings import PROJECT, load

BIGQUERY = {"SOURCE": "bigquery", "BIGQUERY_PROJECT": "some-project", "BIGQUERY_TEMP": "gs://bucket/tmp"}


def compiled(**environment: str) -> dict[str, pipeline_pb2.PipelineNode]:
    """The nodes of the compiled pipeline by id, in order."""
    ir = Compiler().compile(pipeline.create_pipeline(load(environment)))
    return {node.pipeline_node.node_info.id: node.pipeline_node for node in ir.nodes}


def test_node_ids_follow_the_number_of_models() -> None:
    three = compiled(TOP_N="3")
    assert [f"{nodes.TRAINER}{rank}" in three for rank in range(1, 5)] == [True, True, True, False]
    assert {key for key in three[nodes.SELECTOR].inputs.inputs if key.startswith("model_")} == {
        "model_1",
        "model_2",
        "model_3",
    }


def test_nothing_is_transformed_or_searched_before_the_data_has_passed() -> None:
    found = compiled()
    order = list(found)
    assert "AnomalyGate" in found["Transform"].upstream_nodes
    assert "Transform" in found[nodes.SEARCH].upstream_nodes
    assert order.index("AnomalyGate") < order.index("Transform") < order.index(nodes.SEARCH)


def test_selection_and_gate_use_different_splits() -> None:
    found = compiled()
    split = found[nodes.SELECTOR].parameters.parameters["split"].field_value.string_value
    gate = found[nodes.GATE].parameters.parameters["example_splits"].field_value.string_value
    assert split == "eval"
    assert gate == '["test"]'


def test_pusher_needs_the_blessing_of_the_very_model_it_pushes() -> None:
    found = compiled()
    pushed = found[nodes.PUSHER].inputs.inputs["model"].channels[0].producer_node_query.id
    judged = found[nodes.GATE].inputs.inputs["model"].channels[0].producer_node_query.id
    blessing = found[nodes.PUSHER].inputs.inputs["model_blessing"].channels[0].producer_node_query.id
    assert pushed == judged == nodes.SELECTOR
    assert blessing == nodes.GATE


def test_user_code_is_named_by_path_so_that_no_wheel_is_built(tmp_path: Path) -> None:
    for node in compiled(RUNS_DIR=str(tmp_path)).values():
        assert not node.parameters.parameters["module_file"].field_value.string_value
    assert not list(tmp_path.rglob("*"))


def test_bigquery_takes_the_place_of_csv_and_all_else_stays() -> None:
    csv, bigquery = compiled(), compiled(**BIGQUERY)
    assert set(csv) == set(bigquery)
    source = bigquery[nodes.EXAMPLES]
    assert source.node_info.type.name.endswith("BigQueryExampleGen")
    assert csv[nodes.EXAMPLES].node_info.type.name.endswith("CsvExampleGen")
    assert "duration" in source.parameters.parameters["input_config"].field_value.string_value
    for node in set(csv) - {nodes.EXAMPLES}:
        assert csv[node].inputs == bigquery[node].inputs
    arguments = pipeline.create_pipeline(load(BIGQUERY)).beam_pipeline_args
    assert "--project=some-project" in arguments
    assert "--temp_location=gs://bucket/tmp" in arguments


@pytest.mark.timeout(180)
def test_tfx_compiles_a_workflow_with_the_same_nodes_and_runtime_parameters(own_home: Home, tmp_path: Path) -> None:
    more = {"ENGINE": "kubeflow", "PIPELINE_ROOT": "gs://bucket/root", "TRIALS": "8", **BIGQUERY}
    arguments = ("pipeline", "compile", "--engine", "kubeflow", "--pipeline_path", str(PROJECT / "runner.py"))
    ended = own_home.tfx(*arguments, cwd=tmp_path, **more)
    assert ended.code == 0, ended.output
    workflow: dict[str, Any] = yaml.safe_load((tmp_path / "bikes.yaml").read_text(encoding="utf-8"))
    parameters = {item["name"]: item["value"] for item in workflow["spec"]["arguments"]["parameters"]}
    assert parameters["pipeline-root"] == "gs://bucket/root"
    assert {name: parameters[name] for name in ("workers", "trials", "epochs")} == {
        "workers": "2",
        "trials": "8",
        "epochs": "1",
    }
    steps = {template["name"] for template in workflow["spec"]["templates"] if "container" in template}
    assert steps == {node.lower().replace("_", "-") for node in compiled()}
    text = (tmp_path / "bikes.yaml").read_text(encoding="utf-8")
    assert "distributed-tuner:latest" in text
    assert str(PROJECT) not in text  # Paths of this machine mean nothing in the image.
    assert ".whl" not in text
    assert not list(own_home.directory.rglob("*"))
