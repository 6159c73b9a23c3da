"""Names of DistributedTuner's own parameters, outputs and files, for component, executor and readers of its outputs."""

from __future__ import annotations

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

DEFAULT_WORKERS = 2

# The `kind` of a cluster whose members are processes of the step; the other one is `kube.options.KIND`.
LOCAL_KIND = "local"


def hyperparameters_key(rank: int) -> str:
    """The output with the configuration of this rank, 1 for the best."""
    return "best_hyperparameters" if rank == 1 else f"best_hyperparameters_{rank}"
