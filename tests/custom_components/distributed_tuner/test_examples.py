"""TFX's own examples, as they are in its package, with DistributedTuner in the place of Tuner."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.components.testdata.module_file import tuner_module
from tfx.examples import chicago_taxi_pipeline
from tfx.examples.chicago_taxi_pipeline import taxi_utils_native_keras
from tfx.examples.penguin import penguin_utils_base, penguin_utils_keras
from tfx.orchestration import metadata

from custom_components import console
from custom_components.distributed_tuner import keys
from custom_components.distributed_tuner.cluster.local import prewarm
from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.component import DistributedTuner

# They take long where other tests share the machine.
pytestmark = pytest.mark.timeout(180)

BEAM = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
PENGUINS = 120
TAXI = Path(chicago_taxi_pipeline.__file__).parent
TAXI_TRIPS = 300

# TFX's taxi examples search for nothing: this is what one would write there.
TAXI_TUNER_FN = """

def tuner_fn(fn_args):
  import keras_tuner
  from tfx.components.tuner.component import TunerFnResult

  graph = tft.TFTransformOutput(fn_args.transform_graph_path)
  tuner = keras_tuner.RandomSearch(
      lambda hp: _build_keras_model([hp.Int('units', 4, 16), hp.Choice('last', [2, 4])]),
      keras_tuner.Objective('val_binary_accuracy', 'max'),
      max_trials=2,
      directory=fn_args.working_dir)
  return TunerFnResult(
      tuner=tuner,
      fit_kwargs={
          'x': _input_fn(fn_args.train_files, fn_args.data_accessor, graph, 40),
          'validation_data': _input_fn(fn_args.eval_files, fn_args.data_accessor, graph, 40),
          'steps_per_epoch': fn_args.train_steps,
          'validation_steps': fn_args.eval_steps
      })
"""


@pytest.fixture
def root(tmp_path: Path, fork_server: ForkServerHandle, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(prewarm, "server", lambda: fork_server)
    console.use(io.StringIO())
    yield tmp_path
    console.use(None)


def run(root: Path, nodes: list[Any]) -> None:
    connection = metadata.sqlite_metadata_connection_config(str(root / "metadata.db"))
    pipeline = tfx.dsl.Pipeline(
        "example",
        str(root / "pipeline"),
        components=nodes,
        metadata_connection_config=connection,
        beam_pipeline_args=BEAM,
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)


def output(root: Path, node: str, key: str) -> Path:
    """The folder of a node's output."""
    (found,) = (root / "pipeline" / node / key).iterdir()
    return found


def check(root: Path, trials: int, hyperparameters: set[str], node: str = "DistributedTuner") -> None:
    """The search made its trials, and hands on the best of them."""
    rows = json.loads((output(root, node, "tuner_results") / keys.RESULTS_FILE).read_text("utf-8"))
    assert len(rows) == trials and all(set(row) == {"trial_id", "score", *hyperparameters} for row in rows)
    best = json.loads((output(root, node, "best_hyperparameters") / keys.BEST_FILE).read_text("utf-8"))
    assert best["values"] == {name: rows[0][name] for name in hyperparameters}


def write_penguins(root: Path) -> None:
    """Penguins of three species, whose measures differ, and their schema; the package has neither."""
    kinds = {"species": "INT", **dict.fromkeys(penguin_utils_base.FEATURE_KEYS, "FLOAT")}
    features = [
        f'feature {{ name: "{name}" type: {kind} presence {{ min_fraction: 1 }} shape {{ dim {{ size: 1 }} }} }}'
        for name, kind in kinds.items()
    ]
    (root / "schema.pbtxt").write_text("\n".join(features), encoding="utf-8")
    file = root / "data" / "penguins.csv"
    file.parent.mkdir()
    draws = random.Random(1)
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(kinds)
        for number in range(PENGUINS):
            measures = [round(draws.gauss(number % 3, 0.3), 3) for _ in penguin_utils_base.FEATURE_KEYS]
            writer.writerow([number % 3, *measures])


def prepared(root: Path, schema_file: Path, **preprocessing: str) -> tuple[list[Any], dict[str, Any]]:
    """(the nodes up to Transform, what a tuner and a trainer take from them)."""
    examples = tfx.components.CsvExampleGen(input_base=str(root / "data"))
    schema = tfx.components.ImportSchemaGen(schema_file=str(schema_file))
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        disable_statistics=True,
        **preprocessing,
    )
    taken = {
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
    }
    return [examples, schema, transform], taken


def test_the_penguin_example(root: Path) -> None:
    write_penguins(root)
    # Only for the node that is tested TFX packages the module: for Transform and Trainer that takes time.
    name = penguin_utils_keras.__name__
    nodes, taken = prepared(root, root / "schema.pbtxt", preprocessing_fn=f"{name}.preprocessing_fn")
    # As in the package's pipeline, but for the class.
    tuner = DistributedTuner(
        module_file=penguin_utils_keras.__file__,
        **taken,
        train_args=tfx.proto.TrainArgs(num_steps=20),
        eval_args=tfx.proto.EvalArgs(num_steps=5),
    )
    trainer = tfx.components.Trainer(
        run_fn=f"{name}.run_fn",
        **taken,
        hyperparameters=tuner.outputs["best_hyperparameters"],
        train_args=tfx.proto.TrainArgs(num_steps=10),
        eval_args=tfx.proto.EvalArgs(num_steps=5),
    )
    # What TFX tests its Tuner with: examples that nobody transformed.
    examples, schema, _ = nodes
    raw = DistributedTuner(
        tuner_fn=f"{tuner_module.__name__}.tuner_fn",
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=5),
        eval_args=tfx.proto.EvalArgs(num_steps=2),
    ).with_id("raw")
    run(root, [*nodes, tuner, trainer, raw])
    check(root, 6, {"learning_rate", "num_layers"})
    check(root, 3, {"learning_rate", "num_layers"}, node="raw")
    assert list(output(root, "Trainer", "model").rglob("saved_model.pb"))


def test_the_taxi_example_with_a_search(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSUPPORTED_DO_NOT_PACKAGE_USER_MODULES", "1")
    (root / "data").mkdir()
    with (TAXI / "data" / "simple" / "data.csv").open(encoding="utf-8") as trips:
        (root / "data" / "trips.csv").write_text("".join(itertools.islice(trips, TAXI_TRIPS)), encoding="utf-8")
    module = root / "taxi_utils.py"
    module.write_text(Path(taxi_utils_native_keras.__file__).read_text("utf-8") + TAXI_TUNER_FN, encoding="utf-8")
    schema = TAXI / "data" / "user_provided_schema" / "schema.pbtxt"
    nodes, taken = prepared(root, schema, module_file=str(module))
    tuner = DistributedTuner(
        module_file=str(module),
        **taken,
        train_args=tfx.proto.TrainArgs(num_steps=5),
        eval_args=tfx.proto.EvalArgs(num_steps=2),
    )
    run(root, [*nodes, tuner])
    check(root, 2, {"units", "last"})
