"""One search with real processes, in a thread of its own, so that something can be done to it meanwhile."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.cluster.base import ClusterError, Snapshot
from custom_components.distributed_tuner.cluster.local.cluster import CHIEF, LocalCluster, worker_name
from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.search import run as search
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.harness.chaos import training_log

LEASE_SECONDS = 3.0
# Workers that are killed over and over before an epoch ends are the suite's doing, not the trial's.
OPTIONS = SearchOptions(
    heartbeat_seconds=0.5, lease_seconds=LEASE_SECONDS, max_fruitless_losses=1000, start_seconds=120.0
)
# From this length on no finished epoch is lost (`resume.pace`).
EPOCH_SECONDS = 1.0
_POLL_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Plan:
    """A search to run.

    Attributes:
      trials: how many; Hyperband has as many as it wants.
      epochs: in each trial.
      seconds: that each epoch lasts, at least.
      workers: how many.
      algorithm: random, bayesian, grid or hyperband.
      config: more for the tuner function.
      options: the search's.
    """

    trials: int
    epochs: int = 3
    seconds: float = EPOCH_SECONDS
    workers: int = 3
    algorithm: str = "random"
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    options: SearchOptions = OPTIONS

    def trial_ids(self) -> list[str]:
        """The ids that keras-tuner gives to the trials."""
        return [str(index).zfill(len(str(self.trials))) for index in range(self.trials)]


class _Cluster(LocalCluster):
    """A local cluster whose search can be called off, and whose workers may be led through a proxy."""

    def __init__(self, *args: Any, worker_address: str | None, **kwargs: Any) -> None:
        super().__init__(*args, longest_pause_seconds=_LONGEST_PAUSE_SECONDS, **kwargs)
        self._worker_address = worker_address
        self.called_off = threading.Event()

    def poll(self) -> Snapshot:
        if self.called_off.is_set():
            raise ClusterError("the search is called off")
        return super().poll()

    def _add(self, name: str, role: str, arguments: dict[str, Any], environment: dict[str, str]) -> None:
        if name != CHIEF and self._worker_address is not None:
            arguments = {**arguments, "address": self._worker_address}
        super()._add(name, role, arguments, environment)


class Running:
    """A search while it goes on, in a thread of its own."""

    def __init__(self, root: Path, server: ForkServerHandle, plan: Plan, worker_address: str | None = None) -> None:
        self.root = root
        self.plan = plan
        self.directory = SearchDir(root)
        self.directory.create()
        self.record: SearchRecord | None = None
        self.found: search.Found | None = None
        self.error: BaseException | None = None
        self.began = time.monotonic()
        token = secrets.token_urlsafe(16)
        self.cluster = _Cluster(self.directory, token, server=server, worker_address=worker_address)
        config: dict[str, Any] = {"trials": plan.trials, "epochs": plan.epochs, "seconds": plan.seconds}
        config = {**config, "algorithm": plan.algorithm, **plan.config}
        properties = {"tuner_fn": "tests.harness.chaos.tuners.tuner", "custom_config": json.dumps(config)}
        spec = SearchSpec(name="chaos", inputs="", exec_properties=properties, options=plan.options)

        def run() -> None:
            try:
                self.found = search.run(spec, self.directory, self.cluster, workers=plan.workers, watch=self._look)
            except BaseException as error:
                self.error = error

        self._thread = threading.Thread(target=run, name="search", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the run ended, one way or another."""
        return not self._thread.is_alive()

    @property
    def members(self) -> list[str]:
        """The chief and the workers, by name."""
        return [CHIEF, *self.workers]

    @property
    def workers(self) -> list[str]:
        """The workers, by name."""
        return [worker_name(index) for index in range(self.plan.workers)]

    def lines(self) -> list[training_log.Line]:
        """What its trainings wrote down so far."""
        return training_log.read(self.root)

    def wait(self, condition: Callable[[], object], seconds: float = 120.0) -> bool:
        """Waits until the condition holds; False if the search ended, or the time, before that."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not self.over:
            if condition():
                return True
            time.sleep(_POLL_SECONDS)
        return bool(condition())

    def wait_until_busy(self) -> bool:
        """Waits until trials are trained."""
        return self.wait(lambda: self.record is not None and any(line.epoch >= 0 for line in self.lines()))

    def strike(self, tries: int, blow: Callable[[], bool]) -> int:
        """Once trials are trained, deals blows until so many met their aim, or the search is over.

        Returns:
          How many did.
        """
        self.wait_until_busy()
        done = 0
        while done < tries and not self.over:
            done += blow()
        return done

    def pause(self, seconds: float) -> None:
        """Lets the search go on for so long, or to its end."""
        self.wait(lambda: False, seconds)

    def hit(self, member: str, number: int) -> bool:
        """Sends a signal; whether there was a process to get it."""
        pid = self.cluster.pid(member)
        if pid is None or self.over:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def join(self, seconds: float) -> bool:
        """Waits for the end; if it does not come in time, ends the search by force and answers False."""
        self._thread.join(seconds)
        if self.over:
            return True
        self.cluster.called_off.set()
        for member in self.members:
            self.hit(member, signal.SIGCONT)
            self.hit(member, signal.SIGKILL)
        self._thread.join(60.0)
        return False

    def _look(self, record: SearchRecord, now: float, alive: int) -> None:
        self.record = record
