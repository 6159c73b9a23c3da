"""The pipeline: its nodes and what flows between them. Nothing runs and nothing is written here.

The imports bypass `tfx.v1`, which also loads the clients of all of Google's services: 2 s for nothing.
"""

from __future__ import annotations

import importlib.util
import posixpath
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx import components
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2, pusher_pb2, trainer_pb2, transform_pb2
from tfx.types import Channel
from tfx.types.standard_artifacts import Model, ModelBlessing

from custom_components import package_file
from custom_components.anomaly_gate import AnomalyGate, ExampleValidator
from custom_components.distributed_tuner import DistributedTuner, SearchOptions, hyperparameters_key
from custom_components.model_selector import ModelSelector
from custom_components.packaged_schema import PackagedSchema
from tfx_pipeline import evaluation, nodes
from tfx_pipeline.settings import SCHEMA_FILE, VALIDATIONS_FILE, Engine, Settings, Source

QUERY = Path(__file__).with_name("query.sql")


def label_key(settings: Settings) -> str:
    """Name of the feature that the model predicts."""
    return str(importlib.import_module(f"models.{settings.model}.features").LABEL_KEY)


def search_options(settings: Settings) -> SearchOptions:
    """The limits of the search."""
    return SearchOptions(
        max_search_seconds=settings.max_search_seconds,
        max_trial_seconds=settings.max_trial_seconds,
        max_epoch_seconds=settings.max_epoch_seconds,
        max_failed_trials=settings.max_failed_trials,
        max_lost_workers=settings.max_lost_workers,
    )


def search_config(settings: Settings) -> dict[str, object]:
    """What the model's `tuner_fn` gets as `fn_args.custom_config`, in addition to the size of the search."""
    return {
        "algorithm": settings.algorithm.value,
        "executions_per_trial": settings.executions_per_trial,
        "seed": settings.seed,
        "batch_size": settings.batch_size,
    }


def training_config(settings: Settings) -> dict[str, object]:
    """What the model's `run_fn` gets as `fn_args.custom_config`."""
    return {"train_epochs": settings.train_epochs, "seed": settings.seed, "batch_size": settings.batch_size}


def create_pipeline(settings: Settings) -> Pipeline:
    """The whole pipeline for these settings.

    User code is referred to by import path: with a `module_file` every node would first build and install a wheel.
    """
    model = f"models.{settings.model}"
    label = label_key(settings)

    # Trips become tf.Examples in three splits by hash: the same trip is in the same split in every run.
    examples = _example_gen(settings)

    # Statistics of each split: the input of ExampleValidator, and an overview of new data.
    statistics = components.StatisticsGen(examples=examples.outputs["examples"])

    # The schema is maintained by hand: one inferred from the data would find nothing wrong with any data.
    schema = PackagedSchema(package_file.name_of(model, SCHEMA_FILE)).with_id("ImportSchemaGen")

    # Compares the two, runs the model's own validations on the data, and records each anomaly.
    anomalies = ExampleValidator(
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        questions=package_file.name_of(model, VALIDATIONS_FILE) if settings.validations_path.is_file() else "",
    )

    # Stops the run at an anomaly, before hours of search are spent on bad data.
    gate = AnomalyGate(
        anomalies=anomalies.outputs["anomalies"],
        examples=examples.outputs["examples"],
        relations=f"{model}.checks.relations" if importlib.util.find_spec(f"{model}.checks") else "",
        hint=f"Mend the data; or, if the data is right, what models/{settings.model} holds it to",
    )

    # All feature engineering, as a graph that goes into the served model. Its own statistics would take as long again.
    transform = components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn=f"{model}.preprocessing.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "eval"]),
        disable_statistics=True,
    )
    transform.add_upstream_node(gate)

    # Many workers try configurations in parallel; the best N come out, one artifact each.
    training_input = {
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "schema": schema.outputs["schema"],
        "train_args": trainer_pb2.TrainArgs(splits=["train"]),
        "eval_args": trainer_pb2.EvalArgs(splits=["eval"]),
    }
    search = DistributedTuner(
        **training_input,
        tuner_fn=f"{model}.model.tuner_fn",
        custom_config=search_config(settings),
        top_n=settings.top_n,
        cluster=settings.cluster_argument,
        options=search_options(settings),
        **_search_size(settings),
    ).with_id(nodes.SEARCH)

    # A trial is short: each of the best N configurations is trained in full.
    trainers = [
        components.Trainer(
            **training_input,
            run_fn=f"{model}.model.run_fn",
            hyperparameters=search.outputs[hyperparameters_key(rank)],
            custom_config=training_config(settings),
        ).with_id(f"{nodes.TRAINER}{rank}")
        for rank in range(1, settings.top_n + 1)
    ]

    # The best of them on the eval split; the test split stays unseen for the gate.
    selector = ModelSelector(
        examples=examples.outputs["examples"],
        models=[trainer.outputs["model"] for trainer in trainers],
        label_key=label,
        signature=evaluation.SIGNATURE,
    ).with_id(nodes.SELECTOR)

    # The model served now is the one that the new model has to beat.
    baseline = Resolver(
        strategy_class=LatestBlessedModelStrategy,
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
    ).with_id("LatestBlessedModel")

    # Judges the model on trips that neither training nor selection has seen.
    evaluator = components.Evaluator(
        examples=examples.outputs["examples"],
        example_splits=[evaluation.SPLIT],
        schema=schema.outputs["schema"],
        model=selector.outputs["model"],
        baseline_model=baseline.outputs["model"],
        eval_config=evaluation.eval_config(label, settings.max_mae_seconds, settings.max_worsening_seconds),
    ).with_id(nodes.GATE)

    # Only a blessed model is copied to where the model server looks.
    pusher = components.Pusher(
        model=selector.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=settings.serving_dir)
        ),
    ).with_id(nodes.PUSHER)

    return Pipeline(
        pipeline_name=settings.pipeline_name,
        pipeline_root=str(settings.root),
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
        enable_cache=False,
        metadata_connection_config=metadata_config(settings),
        beam_pipeline_args=_beam_args(settings),
    )


def _example_gen(settings: Settings) -> BaseNode:
    sizes = {"train": 8, "eval": 1, evaluation.SPLIT: 1}
    splits = [example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=buckets) for name, buckets in sizes.items()]
    output = example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=splits))
    if settings.source is Source.BIGQUERY:
        # Google's clients take seconds to load.
        from tfx.extensions.google_cloud_big_query.example_gen.component import BigQueryExampleGen

        node = BigQueryExampleGen(query=QUERY.read_text(encoding="utf-8"), output_config=output)
    else:
        # The pattern picks this one file, whatever else is in its folder.
        folder, name = posixpath.split(str(settings.csv))
        only = example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern=name)])
        node = components.CsvExampleGen(input_base=folder, input_config=only, output_config=output)
    return node.with_id(nodes.EXAMPLES)


def _search_size(settings: Settings) -> dict[str, Any]:
    """Workers, trials and epochs: numbers, or for Kubeflow parameters that can be chosen for each run."""
    sizes = {"num_workers": settings.workers, "max_trials": settings.trials, "epochs": settings.epochs}
    if settings.engine is not Engine.KUBEFLOW:
        return dict(sizes)
    names = {"num_workers": "workers", "max_trials": "trials", "epochs": "epochs"}
    return {key: RuntimeParameter(name=names[key], ptype=int, default=value) for key, value in sizes.items()}


def metadata_config(settings: Settings) -> metadata_store_pb2.ConnectionConfig | None:
    """Where the runs' metadata are stored; None for Kubeflow, which has a metadata store of its own."""
    if settings.engine is Engine.KUBEFLOW:
        return None
    # TFX's helper for this would create the file's folder at once.
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(settings.metadata_path)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return config


def _beam_args(settings: Settings) -> list[str]:
    # Threads in this process: faster than Beam's worker processes up to some hundred thousand rows.
    arguments = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
    # TFX packages itself for Beam's remote workers, in every node and into a folder that it leaves in /tmp, unless an
    # image for them is given. There are no remote workers.
    arguments.append("--sdk_container_image=none")
    if settings.source is Source.BIGQUERY:
        arguments += [f"--project={settings.bigquery_project}", f"--temp_location={settings.bigquery_temp}"]
    return arguments
