"""The same nodes as `tfx_pipeline.pipeline`, laid out the way TFX's tutorials do: the baseline of the benchmark.

What differs: user code by `module_file`, which every node packs into a wheel and installs; Transform with its default
statistics, on all splits; Beam with its defaults; TFX imported as `tfx.v1`. Settings, data, search and results are the
same.

    RUNS_DIR=/some/folder python -m benchmarks.subjects.naive_pipeline
"""

from __future__ import annotations

from pathlib import Path

from tfx import v1 as tfx
from tfx.types import standard_artifacts

from custom_components.anomaly_gate.component import AnomalyGate
from custom_components.anomaly_gate.validator import ExampleValidator
from custom_components.distributed_tuner.component import DistributedTuner
from custom_components.distributed_tuner.keys import hyperparameters_key
from custom_components.model_selector.component import ModelSelector
from tfx_pipeline import errors, evaluation, pipeline, settings
from tfx_pipeline.data import inputs
from tfx_pipeline.errors import PipelineError
from tfx_pipeline.run import outcome, request, serving
from tfx_pipeline.settings import PROJECT, Settings


def naive_pipeline(current: Settings) -> tfx.dsl.Pipeline:
    """The pipeline with TFX's defaults, for a CSV file and the local engine."""
    folder = PROJECT / "models" / current.model
    label = pipeline.label_key(current)
    splits = [
        tfx.proto.SplitConfig.Split(name=name, hash_buckets=buckets)
        for name, buckets in (("train", 8), ("eval", 1), (evaluation.SPLIT, 1))
    ]
    examples = tfx.components.CsvExampleGen(
        input_base=str(Path(current.csv).parent),
        output_config=tfx.proto.Output(split_config=tfx.proto.SplitConfig(splits=splits)),
    )
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.ImportSchemaGen(schema_file=str(current.schema_path))
    anomalies = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    gate = AnomalyGate(anomalies=anomalies.outputs["anomalies"])
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        module_file=str(folder / "preprocessing.py"),
    )
    transform.add_upstream_node(gate)
    training_input = {
        "module_file": str(folder / "model.py"),
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "schema": schema.outputs["schema"],
        "train_args": tfx.proto.TrainArgs(splits=["train"]),
        "eval_args": tfx.proto.EvalArgs(splits=["eval"]),
    }
    search = DistributedTuner(
        **training_input,
        custom_config=pipeline.search_config(current),
        top_n=current.top_n,
        num_workers=current.workers,
        max_trials=current.trials,
        epochs=current.epochs,
    )
    trainers = [
        tfx.components.Trainer(
            **training_input,
            hyperparameters=search.outputs[hyperparameters_key(rank)],
            custom_config=pipeline.training_config(current),
        ).with_id(f"Trainer_{rank}")
        for rank in range(1, current.top_n + 1)
    ]
    selector = ModelSelector(
        examples=examples.outputs["examples"],
        models=[trainer.outputs["model"] for trainer in trainers],
        label_key=label,
        signature=evaluation.SIGNATURE,
    )
    baseline = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=standard_artifacts.ModelBlessing),
    ).with_id("LatestBlessedModel")
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["examples"],
        example_splits=[evaluation.SPLIT],
        schema=schema.outputs["schema"],
        model=selector.outputs["model"],
        baseline_model=baseline.outputs["model"],
        eval_config=evaluation.eval_config(label, current.max_mae_seconds, current.max_worsening_seconds),
    )
    pusher = tfx.components.Pusher(
        model=selector.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=current.serving_dir)
        ),
    )
    return tfx.dsl.Pipeline(
        pipeline_name=current.pipeline_name,
        pipeline_root=current.root,
        components=[
            examples,
            statistics,
            schema,
            anomalies,
            gate,
            transform,
            search,
            *trainers,
            selector,
            baseline,
            evaluator,
            pusher,
        ],
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(current.metadata_path)
        ),
    )


def main() -> None:
    """Runs it from data to a prediction, as `make run` does.

    Raises:
      PipelineError: the run pushed no model.
    """
    current = settings.load()
    inputs.prepare(current)
    tfx.orchestration.LocalDagRunner().run(naive_pipeline(current))
    (run_id,) = outcome.run_ids(current.metadata_path)
    record = outcome.read_run(current.metadata_path, run_id)
    examples = record.output("CsvExampleGen", "examples")
    if not serving.pushed_versions(current) or examples is None:
        raise PipelineError("The naive layout pushed no model: raise MAX_MAE_SECONDS")
    split = Path(examples.uri) / f"Split-{evaluation.SPLIT}"
    answer = request.ask(current, split, pipeline.label_key(current))
    print(f"Predicted {answer.predicted:.0f} s; the trip took {answer.request.actual:.0f} s.")


if __name__ == "__main__":
    with errors.told():
        main()
