"""DistributedTuner beside TFX's Tuner: the same search by both in one pipeline, and what each of them leaves."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_metadata
import pytest
from tfx import types
from tfx import v1 as tfx
from tfx.components.tuner import executor as stock_executor
from tfx.orchestration import metadata
from tfx.types import channel_utils, standard_artifacts

from custom_components import console
from custom_components.distributed_tuner import keys
from custom_components.distributed_tuner.cluster.local import prewarm
from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.component import DistributedTuner
from custom_components.distributed_tuner.options import SearchOptions

pytestmark = [
    # One test process runs the pipeline.
    pytest.mark.xdist_group("drop-in"),
    # A Gaussian process of three points is not sure of itself.
    pytest.mark.filterwarnings("ignore:The optimal value found for dimension"),
]

# Searches that depend on the order in which results come have one worker.
WORKERS = {"random": 2, "largest": 2, "bayesian": 1, "grid": 1, "several": 1}
TRIALS = 12
HYPERBAND = "hyperband"
TELLING = "telling"
OUTPUTS = ("best_hyperparameters", "tuner_results")
INTERNAL = "tuner/"


@dataclasses.dataclass(frozen=True)
class Execution:
    """One node's execution as ML Metadata has it: its parameters, and by output key the artifact."""

    properties: Mapping[str, Any]
    outputs: Mapping[str, Any]

    def files(self, output: str) -> dict[str, str]:
        """The texts of an output's files, by name."""
        folder = Path(self.outputs[output].uri)
        return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.*")}


def _imported(root: Path, name: str, artifact: type[types.Artifact], **more: Any) -> Any:
    folder = root / "inputs" / name
    return tfx.dsl.Importer(source_uri=str(folder), artifact_type=artifact, **more).with_id(name)


def _inputs(root: Path) -> tuple[list[Any], dict[str, Any]]:
    """(the nodes, the channels that a tuner takes): two spans of examples and one of everything else."""
    split = {"properties": {"split_names": '["train", "eval", "more", "test"]'}}
    payload = {"custom_properties": {"payload_format": "FORMAT_TF_EXAMPLE"}}
    nodes = {name: _imported(root, name, standard_artifacts.Examples, **split, **payload) for name in ("day1", "day2")}
    nodes |= {
        "schema": _imported(root, "schema", standard_artifacts.Schema),
        "transform_graph": _imported(root, "transform_graph", standard_artifacts.TransformGraph),
        "base_model": _imported(root, "base_model", standard_artifacts.Model),
    }
    for folder in ("schema", "base_model/Format-Serving"):
        (root / "inputs" / folder).mkdir(parents=True)
    (root / "inputs" / "schema" / "schema.pbtxt").touch()
    channels = {name: nodes[name].outputs["result"] for name in ("schema", "transform_graph", "base_model")}
    channels["examples"] = channel_utils.union([nodes[name].outputs["result"] for name in ("day1", "day2")])
    return list(nodes.values()), channels


def _tuners(root: Path) -> list[Any]:
    """All nodes of the pipeline."""
    nodes, channels = _inputs(root)
    options = SearchOptions(max_consecutive_failures=100)
    for case, workers in WORKERS.items():
        given = {
            "examples": channels["examples"],
            "tuner_fn": "drop_in_tuners.searching",
            "custom_config": {"search": case},
        }
        nodes.append(tfx.components.Tuner(**given).with_id(f"stock-{case}"))
        nodes.append(DistributedTuner(**given, num_workers=workers, options=options).with_id(f"ours-{case}"))
    told: dict[str, Any] = {
        **channels,
        "tuner_fn": "drop_in_tuners.telling",
        "train_args": tfx.proto.TrainArgs(splits=["train", "more"], num_steps=7),
        "eval_args": tfx.proto.EvalArgs(splits=["test"]),
    }
    nodes.append(tfx.components.Tuner(**told).with_id(f"stock-{TELLING}"))
    nodes.append(DistributedTuner(**told, num_workers=1).with_id(f"ours-{TELLING}"))
    given = {**given, "custom_config": {"search": HYPERBAND}}
    # TFX's Tuner ends with an error there.
    nodes.append(DistributedTuner(**given, num_workers=1).with_id(f"ours-{HYPERBAND}"))
    return nodes


def _executions(store: ml_metadata.MetadataStore) -> dict[str, Execution]:
    found = {}
    for context in store.get_contexts_by_type("node"):
        (execution,) = store.get_executions_by_context(context.id)
        events = store.get_events_by_execution_ids([execution.id])
        keys_of = {event.artifact_id: event.path.steps[0].key for event in events if event.type == event.OUTPUT}
        outputs = {keys_of[artifact.id]: artifact for artifact in store.get_artifacts_by_id(list(keys_of))}
        # TFX names the context of a node "<pipeline>.<node>".
        found[context.name.split(".", 1)[1]] = Execution(dict(execution.custom_properties), outputs)
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServerHandle) -> dict[str, Execution]:
    """The executions of the pipeline, by node."""
    root = tmp_path_factory.mktemp("drop-in")
    connection = metadata.sqlite_metadata_connection_config(str(root / "metadata.db"))
    pipeline = tfx.dsl.Pipeline("p", str(root / "p"), components=_tuners(root), metadata_connection_config=connection)
    console.use(io.StringIO())
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(prewarm, "server", lambda: fork_server)
            tfx.orchestration.LocalDagRunner().run(pipeline)
    finally:
        console.use(None)
    return _executions(ml_metadata.MetadataStore(connection))


@pytest.mark.parametrize("case", WORKERS)
def test_both_write_the_same_files_to_the_byte(ran: dict[str, Execution], case: str) -> None:
    stock, ours = ran[f"stock-{case}"], ran[f"ours-{case}"]
    for output in OUTPUTS:
        assert ours.files(output) == stock.files(output)
    rows = json.loads(ours.files("tuner_results")["tuner_results.json"])
    # What is compared is worth it: a conditional column, scores that several have, and trials that failed.
    assert len({"depth" in row for row in rows}) == 2
    assert 5 < len({row["trial_id"] for row in rows}) < TRIALS + (case == "grid")
    assert len({row["score"] for row in rows}) < len(rows)


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not name.startswith(INTERNAL)}


def test_a_search_without_a_number_of_trials_ends_as_tfx_would_end_it(
    ran: dict[str, Execution], tmp_path: Path
) -> None:
    outputs = {
        "best_hyperparameters": [standard_artifacts.HyperParameters()],
        "tuner_results": [standard_artifacts.TunerResults()],
    }
    for output, (artifact,) in outputs.items():
        artifact.uri = str(tmp_path / output)
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = str(tmp_path), '["train", "eval"]'
    examples.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    properties = {"tuner_fn": "drop_in_tuners.searching", "custom_config": json.dumps({"search": HYPERBAND})}
    tuner = stock_executor.search(
        {"examples": [examples]}, {**properties, "train_args": "{}", "eval_args": "{}"}, str(tmp_path / "work")
    )
    with pytest.raises(TypeError):
        stock_executor.write_best_hyperparameters(tuner, outputs)
    # What it would write, had it asked for all trials.
    tuner.oracle.max_trials = len(tuner.oracle.trials)
    stock_executor.write_best_hyperparameters(tuner, outputs)

    best = json.loads((tmp_path / "best_hyperparameters" / keys.BEST_FILE).read_text("utf-8"))
    rows = json.loads((tmp_path / "tuner_results" / keys.RESULTS_FILE).read_text("utf-8"))
    assert any(name.startswith(INTERNAL) for name in rows[0]) and len(rows) > 15
    ours = ran[f"ours-{HYPERBAND}"]
    assert ours.files("best_hyperparameters") == {
        keys.BEST_FILE: json.dumps({**best, "values": _named(best["values"])})
    }
    assert ours.files("tuner_results") == {keys.RESULTS_FILE: json.dumps([_named(row) for row in rows])}


def test_a_trial_without_hyperparameters_is_no_row(ran: dict[str, Execution]) -> None:
    for output in OUTPUTS:
        assert ran[f"ours-{TELLING}"].files(output) == ran[f"stock-{TELLING}"].files(output)
    assert ran[f"ours-{TELLING}"].files("tuner_results") == {"tuner_results.json": "[]"}


@pytest.mark.parametrize("case", [*WORKERS, TELLING])
def test_both_leave_the_same_in_ml_metadata(ran: dict[str, Execution], case: str) -> None:
    stock, ours = ran[f"stock-{case}"], ran[f"ours-{case}"]
    assert {*ours.outputs} == {*stock.outputs, keys.SEARCH_REPORT}
    for output, artifact in stock.outputs.items():
        beside = ours.outputs[output]
        assert (beside.type, beside.state, beside.name) == (artifact.type, artifact.state, artifact.name)
        assert dict(beside.properties) == dict(artifact.properties)
        assert dict(beside.custom_properties) == dict(artifact.custom_properties)
        # <root>/<node>/<output>/<execution>
        assert Path(beside.uri).parts[-2] == Path(artifact.uri).parts[-2] == output
    assert {name: ours.properties[name] for name in stock.properties} == dict(stock.properties)


def test_tuner_fn_is_called_with_the_same_arguments(ran: dict[str, Execution]) -> None:
    folder = Path(ran["base_model"].outputs["result"].uri) / "Format-Serving"
    told = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    stock = told.pop(str(os.getpid()))
    assert len(told) == 2, "a chief and a worker"
    assert all(each == stock for each in told.values())
    assert stock["train_steps"] == "7" and stock["eval_steps"] == stock["custom_config"] == "None"
    assert [stock["train_files"].count(f"Split-{split}") for split in ("train", "more", "test")] == [2, 2, 0]
