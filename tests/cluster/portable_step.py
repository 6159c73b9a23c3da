"""A pipeline's step and its tuner in one file, for an image that holds no tests: it comes into the pods as a ConfigMap.

`python -m portable_step ROOT CUSTOM_CONFIG CLUSTER`. It imports nothing of the tests.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import keras_tuner as kt
from tfx import types
from tfx.components.tuner.component import TunerFnResult
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts

from custom_components.distributed_tuner import keys
from custom_components.distributed_tuner.artifacts import SearchReport
from custom_components.distributed_tuner.executor import Executor
from custom_components.distributed_tuner.options import SearchOptions

MODULE = "portable_step"
RESULTS = "results: "


class Sleeping(kt.Tuner):
    """A trial sleeps and has a score."""

    def run_trial(self, trial: Any, seconds: float, **kwargs: Any) -> float:
        """Sleeps for `seconds` and answers with the value to be minimized."""
        time.sleep(seconds)
        return trial.hyperparameters.get("x") ** 2


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """As many trials as custom_config's `trials`, of `seconds` each."""
    config = fn_args.custom_config
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    oracle = kt.oracles.RandomSearchOracle(max_trials=config["trials"], seed=0, hyperparameters=space)
    tuner = Sleeping(oracle, directory=fn_args.working_dir, project_name="sleeping")
    return TunerFnResult(tuner=tuner, fit_kwargs={"seconds": config["seconds"]})


def main(root: str, config: str, cluster: str) -> None:
    """Runs the node once, and prints what it hands on."""

    def output(key: str, artifact: types.Artifact) -> list[types.Artifact]:
        artifact.uri = f"{root}/Tuner/{key}/1"
        fileio.makedirs(artifact.uri)
        return [artifact]

    examples = standard_artifacts.Examples()
    examples.uri = f"{root}/examples"
    examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
    results = output("tuner_results", standard_artifacts.TunerResults())
    Executor().Do(
        {"examples": [examples]},
        {
            "tuner_results": results,
            keys.SEARCH_REPORT: output(keys.SEARCH_REPORT, SearchReport()),
            keys.hyperparameters_key(1): output(keys.hyperparameters_key(1), standard_artifacts.HyperParameters()),
        },
        {
            "tuner_fn": f"{MODULE}.tuner_fn",
            "custom_config": config,
            "train_args": "{}",
            "eval_args": "{}",
            keys.TOP_N: 1,
            keys.NUM_WORKERS: 2,
            keys.CLUSTER: cluster,
            keys.OPTIONS: SearchOptions(heartbeat_seconds=0.5, lease_seconds=60.0, grace_seconds=5.0).to_json(),
        },
    )
    with fileio.open(f"{results[0].uri}/{keys.RESULTS_FILE}") as file:
        print(RESULTS + json.dumps(json.loads(file.read())), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
