"""How long a search takes to get going: from the start of the executor's work to its first running trial.

The way there has three parts, one after another:

    fork_server_imports   a process imports TensorFlow, keras-tuner and TFX, once for all that is forked from it
    chief_ready           the chief builds the user's tuner and listens
    first_trial           a worker has built its tuner, asked for a trial and been given one

This is a search that starts its own fork server. A whole pipeline starts one ahead of time, beside its other nodes
(`cluster.prewarm`), and then waits for the rest of the imports only.

    python -m benchmarks.startup [--quick]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import queue
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import sleeping_search
from custom_components.distributed_tuner import keys
from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.host import files

REPETITIONS = 3
IMPORT_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Startup:
    """The parts of one start, in seconds."""

    fork_server_imports: float
    chief_ready: float
    first_trial: float

    @property
    def seconds(self) -> float:
        """The whole."""
        return self.fork_server_imports + self.chief_ready + self.first_trial


def measure(root: Path) -> Startup:
    """Starts a search in the empty folder `root` and lets it run to its end.

    Raises:
      ClusterError: the fork server is not ready after `IMPORT_SECONDS`.
    """
    began = time.time()
    log = root / "fork-server.log"
    server = ForkServerHandle(log, with_tfx=True)
    try:
        # It serves nobody before its imports are done, so waiting for them here costs the search nothing.
        server.messages.get(timeout=IMPORT_SECONDS)
        imported = time.time()
        search = root / "search"
        workers = keys.DEFAULT_WORKERS
        _, record = sleeping_search.run(search, trials=workers, seconds=0.5, workers=workers, server=server)
    except queue.Empty:
        raise ClusterError(
            f"the fork server was not ready after {IMPORT_SECONDS:g} s; its log: {files.tail(log)}"
        ) from None
    finally:
        server.close(grace_seconds=5.0)
    listening = sleeping_search.chief_ready(search)
    return Startup(imported - began, listening - imported, sleeping_search.first_trial(record) - listening)


def figures(starts: Sequence[Startup]) -> dict[str, float]:
    """The parts of the start that took the median time, by name."""
    middle = statistics.median_low(start.seconds for start in starts)
    start = next(start for start in starts if start.seconds == middle)
    parts = {"seconds": start.seconds, **dataclasses.asdict(start)}
    return {name: round(value, 2) for name, value in parts.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a row for each start and the figures as the last line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one start instead of several")
    repetitions = 1 if parser.parse_args(arguments).quick else REPETITIONS
    print("fork server imports  chief ready  first trial    whole", flush=True)
    starts = []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory(prefix="startup-") as folder:
            start = measure(Path(folder))
        starts.append(start)
        print(
            f"{start.fork_server_imports:17.2f} s  {start.chief_ready:9.2f} s  {start.first_trial:9.2f} s"
            f"  {start.seconds:5.2f} s",
            flush=True,
        )
    print(f"\n{json.dumps(figures(starts))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
