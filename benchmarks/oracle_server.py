"""Serves one search for the oracle benchmark: by our chief, or by keras-tuner's own.

    python -m benchmarks.oracle_server ours|stock DIRECTORY KIND MAX_TRIALS < token

writes chief.json (ours) into DIRECTORY once it serves, and ends with SIGTERM. Later builds start this one by that line.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import keras_tuner as kt

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.process import main as process
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir


def oracle(kind: str, max_trials: int) -> kt.Oracle:
    """An oracle over a space like that of a small network: two integers, a float, a choice."""
    space = kt.HyperParameters()
    space.Int("layers", 2, 5)
    space.Int("units", 16, 256, step=16)
    space.Float("dropout", 0.0, 0.5)
    space.Choice("learning_rate", [0.1, 0.01, 0.001, 0.0001])
    known: dict[str, Any] = {"max_trials": max_trials, "hyperparameters": space, "seed": 1}
    objective = kt.Objective("val_loss", "min")
    if kind == "bayesian":
        return kt.oracles.BayesianOptimizationOracle(objective, **known)
    return kt.oracles.RandomSearchOracle(objective, **known)


class _Tuner(kt.Tuner):
    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
        raise NotImplementedError("the benchmark's clients run no trials")


def tuner_fn(fn_args: Any) -> Any:
    """The tuner that our chief is given."""
    from tfx.components.tuner.component import TunerFnResult

    config = fn_args.custom_config
    made = _Tuner(oracle(config["kind"], config["max_trials"]), directory=fn_args.working_dir, project_name="bench")
    return TunerFnResult(tuner=made, fit_kwargs={})


def serve_ours(root: Path, kind: str, max_trials: int, token: str) -> int:
    """Our chief, with its state synced to the disk at each transition."""
    directory = SearchDir(root)
    directory.create()
    config = json.dumps({"kind": kind, "max_trials": max_trials})
    properties = {"tuner_fn": "benchmarks.oracle_server.tuner_fn", "custom_config": config}
    SearchSpec("bench", "", properties, SearchOptions()).write(directory.storage)
    process.set_up_logging()
    return process.run_chief(root, token, go_on=False)


def serve_stock(root: Path, kind: str, max_trials: int) -> int:
    """keras-tuner's chief, with its state saved as it saves it."""
    from keras_tuner.src.distribute import oracle_chief

    made = oracle(kind, max_trials)
    made._set_project_dir(str(root), "bench")
    made.verbose = 0
    os.environ["KERASTUNER_ORACLE_IP"] = "127.0.0.1"
    oracle_chief.start_server(made)
    return 0


def main() -> int:
    """Serves what the arguments name."""
    which, root, kind, max_trials = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if which == "ours":
        return serve_ours(root, kind, max_trials, sys.stdin.readline().strip())
    return serve_stock(root, kind, max_trials)


if __name__ == "__main__":
    raise SystemExit(main())
