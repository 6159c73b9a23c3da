"""How soon a worker that waits for its fellows begins a trial, once one of them has made it possible.

Measured from the end of the trial that made work to the beginning of the one that it made, as the trials note them.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from benchmarks.subjects import rounds_tuner
from custom_components.distributed_tuner.cluster.local.cluster import LocalCluster
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.search import run
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir

# A worker without a trial for so long was waiting for one, and not on its way from one to the next.
_WAITED_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Note:
    """A trial began or ended in a process, seconds since the epoch."""

    when: float
    pid: int
    begins: bool


def read(log: Path) -> list[Note]:
    """The notes of a search, in order."""
    fields = (line.split() for line in log.read_text(encoding="utf-8").splitlines())
    return sorted((Note(float(when), int(pid), what == "begin") for when, pid, what in fields), key=lambda n: n.when)


def waits(notes: Sequence[Note]) -> list[float]:
    """Seconds from the last end of any trial to each beginning in a process that had waited."""
    found: list[float] = []
    ended: dict[int, float] = {}
    last_end = 0.0
    for note in notes:
        if not note.begins:
            ended[note.pid] = last_end = note.when
        elif note.when - ended.get(note.pid, note.when) > _WAITED_SECONDS:
            found.append(note.when - last_end)
    return found


def measure(root: Path, *, rounds: int, seconds: float) -> list[float]:
    """Two workers run rounds of two trials, of which one is over at once; answers with what `waits` finds.

    Args:
      root: an empty folder for the search.
      rounds: how many; nobody has waited before the first.
      seconds: how long each takes, more than a second.

    Raises:
      RuntimeError: nobody waited, so that there is nothing to tell.
    """
    directory = SearchDir(root)
    directory.create()
    config = json.dumps({"rounds": rounds, "seconds": seconds})
    properties = {"tuner_fn": "benchmarks.subjects.rounds_tuner.tuner_fn", "custom_config": config}
    spec = SearchSpec("idle", "", properties, SearchOptions())
    cluster = LocalCluster(directory, secrets.token_urlsafe())
    run.run(spec, directory, cluster, workers=2, watch=lambda *_: None)
    found = waits(read(root / rounds_tuner.LOG))
    if not found:
        raise RuntimeError(f"no worker waited for another; the logs are in {directory.logs}")
    return found
