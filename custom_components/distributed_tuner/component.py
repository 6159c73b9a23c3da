"""A drop-in replacement for TFX's Tuner that searches with many workers at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto import trainer_pb2, tuner_pb2
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import json_utils

from custom_components.distributed_tuner import executor
from custom_components.distributed_tuner.artifacts import SearchReport
from custom_components.distributed_tuner.cluster import choice
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions
from custom_components.distributed_tuner.keys import (
    CLUSTER,
    DEFAULT_WORKERS,
    EPOCHS,
    MAX_TRIALS,
    NUM_WORKERS,
    OPTIONS,
    SEARCH_REPORT,
    TOP_N,
    hyperparameters_key,
)
from custom_components.distributed_tuner.options import SearchOptions


class DistributedTuner(base_component.BaseComponent):
    """Searches hyperparameters with a chief and many workers.

    Takes the inputs of `tfx.components.Tuner`, and has its outputs:

    - `best_hyperparameters`: the best configuration, as Trainer reads it;
    - `tuner_results`: all completed trials;

    and in addition `best_hyperparameters_2` … `best_hyperparameters_N`, the next best configurations, all distinct, and
    `search_report`: a folder with `report.html` and `search.json`.
    """

    SPEC_CLASS = ComponentSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        schema: types.BaseChannel | None = None,
        transform_graph: types.BaseChannel | None = None,
        base_model: types.BaseChannel | None = None,
        module_file: str | None = None,
        tuner_fn: str | None = None,
        train_args: trainer_pb2.TrainArgs | None = None,
        eval_args: trainer_pb2.EvalArgs | None = None,
        tune_args: tuner_pb2.TuneArgs | None = None,
        custom_config: dict[str, Any] | None = None,
        *,
        top_n: int = 1,
        num_workers: int | RuntimeParameter | None = None,
        max_trials: int | RuntimeParameter | None = None,
        epochs: int | RuntimeParameter | None = None,
        cluster: KubernetesOptions | Mapping[str, Any] | None = None,
        options: SearchOptions | None = None,
    ) -> None:
        """Makes the node.

        Args:
          examples: Examples with the splits that train_args and eval_args name (`train` and `eval` if they don't).
          schema: an optional Schema.
          transform_graph: an optional TransformGraph; with it, `examples` are transformed ones.
          base_model: an optional Model to start from.
          module_file: a file with the user's `tuner_fn(fn_args) -> TunerFnResult`; or
          tuner_fn: its import path. Exactly one of them.
          train_args: splits and steps for training.
          eval_args: splits and steps for evaluation.
          tune_args: `num_parallel_trials` is the number of workers if num_workers is left out.
          custom_config: JSON-able, handed to `tuner_fn` as `fn_args.custom_config`.
          top_n: how many configurations to hand on; the search fails if it completes fewer distinct ones.
          num_workers: how many trials run at once.
          max_trials: if given, set as `custom_config['max_trials']`, so that it can be a run-time parameter.
          epochs: if given, set as `custom_config['epochs']`.
          cluster: where chief and workers run: as processes of the step if left out, or {"kind": "local"}; on
            Kubernetes with `KubernetesOptions`, or {"kind": "kubernetes", …} with its settings.
          options: leases, limits and deadlines.

        Raises:
          ValueError: arguments contradict each other or are out of range.
        """
        if bool(module_file) == bool(tuner_fn):
            raise ValueError("DistributedTuner: exactly one of module_file and tuner_fn must be given")
        if top_n < 1:
            raise ValueError(f"DistributedTuner: top_n must be at least 1, got {top_n}")
        if isinstance(max_trials, int) and max_trials < top_n:
            raise ValueError(f"DistributedTuner: top_n={top_n} configurations cannot come of max_trials={max_trials}")
        if num_workers is None:
            num_workers = (tune_args.num_parallel_trials if tune_args else 0) or DEFAULT_WORKERS
        if isinstance(num_workers, int) and num_workers < 1:
            raise ValueError(f"DistributedTuner: num_workers must be at least 1, got {num_workers}")
        chosen = choice.options(cluster)
        outputs = {hyperparameters_key(rank): standard_artifacts.HyperParameters for rank in range(1, top_n + 1)}
        outputs[standard_component_specs.TUNER_RESULTS_KEY] = standard_artifacts.TunerResults
        outputs[SEARCH_REPORT] = SearchReport
        spec = _spec_class(outputs)(
            examples=examples,
            schema=schema,
            transform_graph=transform_graph,
            base_model=base_model,
            module_file=module_file,
            tuner_fn=tuner_fn,
            train_args=train_args or trainer_pb2.TrainArgs(),
            eval_args=eval_args or trainer_pb2.EvalArgs(),
            tune_args=tune_args,
            custom_config=json_utils.dumps(custom_config),
            **{
                TOP_N: top_n,
                NUM_WORKERS: num_workers,
                MAX_TRIALS: max_trials,
                EPOCHS: epochs,
                CLUSTER: choice.to_json(chosen),
                OPTIONS: (options or SearchOptions()).to_json(),
            },
            **{key: types.Channel(type=artifact) for key, artifact in outputs.items()},
        )
        super().__init__(spec=spec)
        if udf_utils.should_package_user_modules():
            udf_utils.add_user_module_dependency(
                self, standard_component_specs.MODULE_FILE_KEY, standard_component_specs.MODULE_PATH_KEY
            )


def _spec_class(outputs: dict[str, Any]) -> type[ComponentSpec]:
    """The stock Tuner's spec with our parameters, and one output per configuration: TFX sets outputs per class."""
    stock = standard_component_specs.TunerSpec
    parameters = {
        **stock.PARAMETERS,
        TOP_N: ExecutionParameter(type=int),
        NUM_WORKERS: ExecutionParameter(type=int),
        MAX_TRIALS: ExecutionParameter(type=int, optional=True),
        EPOCHS: ExecutionParameter(type=int, optional=True),
        CLUSTER: ExecutionParameter(type=str),
        OPTIONS: ExecutionParameter(type=str),
    }
    return type(
        "DistributedTunerSpec",
        (ComponentSpec,),
        {
            "PARAMETERS": parameters,
            "INPUTS": dict(stock.INPUTS),
            "OUTPUTS": {key: ChannelParameter(type=artifact) for key, artifact in outputs.items()},
        },
    )
