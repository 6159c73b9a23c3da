"""The tuner's step of a pipeline as a process of its own, as TFX would run it in a pod: `python -m tests.cluster.step`.

It finds the API server, its namespace and whom its search belongs to by itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tfx import types
from tfx.types import artifact_utils, standard_artifacts

from custom_components.distributed_tuner import keys
from custom_components.distributed_tuner.artifacts import SearchReport
from custom_components.distributed_tuner.executor import Executor
from custom_components.distributed_tuner.options import SearchOptions
from tests.cluster import held_tuner

NODE = "Tuner"


def search_root(root: Path) -> Path:
    """The search directory of a step whose pipeline root this is."""
    return root / NODE / keys.SEARCHES_DIR / "search"


def results(root: Path, execution: str) -> list[dict[str, Any]]:
    """What a step that went through handed on."""
    rows: list[dict[str, Any]] = json.loads((root / NODE / "tuner_results" / execution / keys.RESULTS_FILE).read_text())
    return rows


def main() -> None:
    """Runs one execution of the node."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="the pipeline root")
    parser.add_argument("execution", help="the folder of its outputs; a retry has another one")
    parser.add_argument("config", help="custom_config, as JSON")
    parser.add_argument("cluster", help="the component's argument, as JSON")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()

    def output(key: str, artifact: types.Artifact) -> list[types.Artifact]:
        folder = given.root / NODE / key / given.execution
        folder.mkdir(parents=True, exist_ok=True)
        artifact.uri = str(folder)
        return [artifact]

    examples = standard_artifacts.Examples()
    examples.uri = str(given.root / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
    Executor().Do(
        {"examples": [examples]},
        {
            "tuner_results": output("tuner_results", standard_artifacts.TunerResults()),
            keys.SEARCH_REPORT: output(keys.SEARCH_REPORT, SearchReport()),
            keys.hyperparameters_key(1): output(keys.hyperparameters_key(1), standard_artifacts.HyperParameters()),
        },
        {
            "tuner_fn": held_tuner.TUNER,
            "custom_config": given.config,
            "train_args": "{}",
            "eval_args": "{}",
            keys.TOP_N: 1,
            keys.NUM_WORKERS: given.workers,
            keys.CLUSTER: given.cluster,
            # On a busy machine a heartbeat may be late, and no worker is to be taken for lost.
            keys.OPTIONS: SearchOptions(heartbeat_seconds=0.5, lease_seconds=60.0, grace_seconds=5.0).to_json(),
        },
    )


if __name__ == "__main__":
    main()
