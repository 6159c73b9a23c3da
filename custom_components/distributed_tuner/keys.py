"""Names of DistributedTuner's own parameters, outputs and files, for component, executor and readers of its outputs."""

from __future__ import annotations

import hashlib
import re

TOP_N = "top_n"
NUM_WORKERS = "num_workers"
MAX_TRIALS = "max_trials"
EPOCHS = "epochs"
CLUSTER = "cluster"
OPTIONS = "search_options"

SEARCH_REPORT = "search_report"
REPORT_FILE = "report.html"
RECORD_FILE = "search.json"
BEST_FILE = "best_hyperparameters.txt"
RESULTS_FILE = "tuner_results.json"

SEARCHES_DIR = "searches"
_DIGEST_LENGTH = 12

DEFAULT_WORKERS = 2


def search_folder(run_id: str) -> str:
    """The name of a run's folder in `SEARCHES_DIR`: the run id if it is a plain name; no two run ids share one."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", run_id)
    if plain == run_id and plain.strip("."):
        return plain
    digest = hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{plain.strip('.')}-{digest}"


def hyperparameters_key(rank: int) -> str:
    """The output key of the configuration of this rank, 1 for the best."""
    return "best_hyperparameters" if rank == 1 else f"best_hyperparameters_{rank}"
