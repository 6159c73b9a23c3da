"""What a preemption costs: the work that is lost with a worker, and the time until things go on.

Workers of one search train epochs of a known length. Again and again one of them is killed (SIGKILL) or told to go
(SIGTERM) in the middle of an epoch, and its cluster starts another in its place; between that the chief is killed.

- `epochs_lost`: epochs that the trial began before the loss of its worker and had to begin again after it. The one
  that was under way is one of them.
- `worker_death_seconds`: from the signal to the first batch of the trial in another process.
- `chief_death_seconds`: from the signal to the first answer of the chief that takes its place.
- `idle_start_seconds`: from the moment there is work again to the start of a worker that waited for it, see `idle`.
- `stock_…`: the same losses under keras-tuner's own distributed mode, on the same machine, see `stock_recovery`.

    python -m benchmarks.recovery [--quick]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import secrets
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import idle, losses, stock_recovery
from benchmarks.losses import Loss, Recovery
from benchmarks.stock_recovery import StockPlan
from benchmarks.subjects import epochs_tuner
from custom_components.distributed_tuner.cluster.local.cluster import CHIEF, LocalCluster, worker_name
from custom_components.distributed_tuner.errors import ChiefUnreachable
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Access
from custom_components.distributed_tuner.search import run as search
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir

WORKER_SIGNALS = (signal.SIGKILL, signal.SIGTERM)
# How long a loss may take to be made good before the benchmark gives up.
RECOVERY_SECONDS = 120.0

_WAIT_SECONDS = 1.5
_CARRIED_OUT = "all losses of the plan have been made good"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How often workers (by each signal) and the chief die, how often one waits, and the epochs trained meanwhile."""

    worker_deaths: int
    chief_deaths: int
    waits: int
    epoch_seconds: float
    epochs: int
    stock: StockPlan
    workers: int = 2


def _plan(*, deaths: int, waits: int, stock_restarts: int, stock_deadline_seconds: float) -> Plan:
    seconds, epochs = 1.0, 15
    stock = StockPlan(stock_restarts, stock_deadline_seconds, epoch_seconds=seconds, epochs=epochs)
    return Plan(deaths, deaths, waits, epoch_seconds=seconds, epochs=epochs, stock=stock)


FULL = _plan(deaths=10, waits=10, stock_restarts=3, stock_deadline_seconds=60.0)
QUICK = _plan(deaths=1, waits=2, stock_restarts=1, stock_deadline_seconds=20.0)


class Preemptions:
    """Brings the losses of a plan about, one after another, while a search runs."""

    def __init__(self, plan: Plan, directory: SearchDir, cluster: LocalCluster, token: str) -> None:
        self._plan = plan
        self._cluster = cluster
        self._log = directory.root / epochs_tuner.LOG
        self._client = ChiefClient(cluster.chief_address, Access(token), patience_seconds=0.0)
        self._random = random.Random(0)
        # None stands for the chief's death.
        self._left: list[signal.Signals | None] = [*WORKER_SIGNALS * plan.worker_deaths, *[None] * plan.chief_deaths]
        self._random.shuffle(self._left)
        self._loss: Loss | None = None
        self._due: float | None = None
        self._service: threading.Thread | None = None
        self.recoveries: list[Recovery] = []

    def watch(self, record: SearchRecord, now: float, alive: int) -> None:
        """Called by the search about four times a second.

        Raises:
          RuntimeError: a loss was not made good in `RECOVERY_SECONDS`.
        """
        del alive
        if self._loss is not None:
            if self._loss.trial_id is not None and (found := losses.recovery(self._loss, losses.read(self._log))):
                self._take(found)
            elif now - self._loss.when > RECOVERY_SECONDS:
                raise RuntimeError(f"{self._loss} was not made good within {RECOVERY_SECONDS:g} s")
        elif self._left:
            self._strike(now)
        elif record.stop_reason is None:
            self._client.call("Stop", {"reason": _CARRIED_OUT}, patience_seconds=RECOVERY_SECONDS)

    def _strike(self, now: float) -> None:
        # Each time at another moment of an epoch.
        if self._due is None:
            self._due = now + self._plan.epoch_seconds * self._random.uniform(1.0, 3.0)
        if now < self._due:
            return
        number = self._left[-1]
        struck = self._strike_chief() if number is None else self._strike_worker(number)
        if struck:
            self._left.pop()
            self._due = None

    def _strike_worker(self, number: signal.Signals) -> bool:
        name = worker_name(self._random.randrange(self._plan.workers))
        pid = self._cluster.pid(name)
        last = next((epoch for epoch in reversed(losses.read(self._log)) if epoch.pid == pid), None)
        # A trial in its last epoch may end before the signal arrives, and then has nothing to go on with.
        if pid is None or last is None or last.epoch >= self._plan.epochs - 2:
            return False
        self._loss = Loss(time.time(), pid, number, last.trial_id)
        os.kill(pid, number)
        return True

    def _strike_chief(self) -> bool:
        pid = self._cluster.pid(CHIEF)
        if pid is None:
            return False
        self._loss = Loss(time.time(), pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        self._service = threading.Thread(target=self._await_service, args=(self._loss,), daemon=True)
        self._service.start()
        return True

    def _await_service(self, loss: Loss) -> None:
        while time.time() - loss.when < RECOVERY_SECONDS:
            try:
                self._client.call("Status", {}, timeout=1.0)
            except ChiefUnreachable:
                time.sleep(0.01)
                continue
            self._take(Recovery(loss, time.time() - loss.when))
            return

    def _take(self, found: Recovery) -> None:
        self.recoveries.append(found)
        self._loss = None
        who, lost = ("chief", "") if found.loss.trial_id is None else ("worker", str(found.epochs_lost))
        print(f"{who:6}  {found.loss.number.name:7}  {found.seconds:13.2f} s  {lost:>11}", flush=True)


def run(root: Path, plan: Plan) -> list[Recovery]:
    """Searches in the empty folder `root` and brings the losses of the plan about.

    Raises:
      RuntimeError: a trial failed, or a loss was not made good.
    """
    directory = SearchDir(root)
    directory.create()
    token = secrets.token_urlsafe()
    # More trials than are needed: the search is stopped when the plan is carried out.
    config = {"trials": 10_000, "epochs": plan.epochs, "epoch_seconds": plan.epoch_seconds}
    spec = SearchSpec(
        name="recovery",
        inputs="",
        exec_properties={"tuner_fn": "benchmarks.subjects.epochs_tuner.tuner_fn", "custom_config": json.dumps(config)},
        options=SearchOptions(),
    )
    cluster = LocalCluster(directory, token)
    preemptions = Preemptions(plan, directory, cluster, token)
    print("who     signal   until it went on  epochs lost", flush=True)
    found = search.run(spec, directory, cluster, workers=plan.workers, watch=preemptions.watch)
    if found.record.stop_reason != _CARRIED_OUT or found.record.count(TrialStatus.FAILED):
        raise RuntimeError(f"{found.record.stop_reason}; failed: {[t.cause for t in found.record.failed()]}")
    return preemptions.recoveries


def figures(recoveries: Sequence[Recovery], waits: Sequence[float]) -> dict[str, float]:
    """The benchmark's figures by name; times are medians."""
    workers = [each for each in recoveries if each.loss.trial_id is not None]
    found: dict[str, float] = {"epochs_lost_max": max(each.epochs_lost for each in workers)}
    for number in WORKER_SIGNALS:
        lost = [each.epochs_lost for each in workers if each.loss.number == number]
        found[f"epochs_lost_{number.name.lower()}_mean"] = round(statistics.mean(lost), 2)
    for name, seconds in {
        "worker_death_seconds": [each.seconds for each in workers],
        "chief_death_seconds": [each.seconds for each in recoveries if each.loss.trial_id is None],
        "idle_start_seconds": waits,
    }.items():
        found[name] = round(statistics.median(seconds), 3)
        found[f"{name}_max"] = round(max(seconds), 3)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a row for each loss and the figures as the last line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one loss of each kind instead of ten")
    plan = QUICK if parser.parse_args(arguments).quick else FULL
    with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
        recoveries = run(Path(folder) / "search", plan)
        stock = stock_recovery.measure(Path(folder) / "stock", plan.stock)
        for name, value in stock.items():
            print(f"{name}: {'never' if value is None else value}", flush=True)
        waits = idle.measure(Path(folder) / "idle", rounds=plan.waits + 1, seconds=_WAIT_SECONDS)
    for seconds in waits:
        print(f"idle    -        {seconds:13.3f} s", flush=True)
    print(f"\n{json.dumps({**figures(recoveries, waits), **stock})}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
