"""Runs a search whose trials only wait, with real processes on this machine."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

from custom_components.distributed_tuner.cluster.local.cluster import LocalCluster
from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus
from custom_components.distributed_tuner.search import run as search
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir


def run(
    root: Path, *, trials: int, seconds: float, workers: int, server: ForkServerHandle | None = None
) -> tuple[float, SearchRecord]:
    """Searches with `workers` workers until `trials` trials of `seconds` each are done.

    Args:
      root: an empty folder for the search.
      trials: how many.
      seconds: how long each sleeps.
      workers: how many.
      server: the fork server to use; the search starts one of its own if left out.

    Returns:
      (when `search.run` was called, seconds since the epoch; the search's record).

    Raises:
      RuntimeError: a trial did not complete, so that its times mean nothing.
    """
    directory = SearchDir(root)
    directory.create()
    token = secrets.token_urlsafe()
    spec = SearchSpec(
        name="sleeping",
        inputs="",
        exec_properties={
            "tuner_fn": "benchmarks.subjects.sleeping_tuner.tuner_fn",
            "custom_config": json.dumps({"trials": trials, "seconds": seconds}),
        },
        options=SearchOptions(),
    )
    cluster = LocalCluster(directory, token, server=server)
    started = time.time()
    found = search.run(spec, directory, cluster, workers=workers, watch=lambda *_: None)
    record = found.record
    if record.count(TrialStatus.COMPLETED) != trials or any(len(trial.stays) != 1 for trial in record.trials):
        raise RuntimeError(f"{trials} trials should have completed at once: {record}; the logs are in {directory.logs}")
    return started, record


def first_trial(record: SearchRecord) -> float:
    """When the first trial began, seconds since the epoch."""
    return min(trial.stays[0].started for trial in record.trials)


def chief_ready(root: Path) -> float:
    """When the chief of the search in `root` began to listen, seconds since the epoch."""
    return SearchDir(root).chief.stat().st_mtime
