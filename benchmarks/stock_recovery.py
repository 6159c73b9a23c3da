"""The losses of `recovery`, as keras-tuner's own distributed mode bears them.

Chief and workers are the same script, started as keras-tuner's guide says. Nothing starts a process again that died,
which is what its users have; and then the benchmark does it at once, as a supervisor that they would have to bring.

- `stock_worker_death_seconds`: a worker is killed (SIGKILL) in the middle of a trial: until that goes on elsewhere.
- `stock_epochs_lost`: the epochs that trial had begun by then, all of which are lost with it.
- `stock_worker_restart_seconds`, `stock_worker_restart_epochs_lost`: the same where the worker is started again under
  its id at once.
- `stock_chief_death_seconds`: the chief is killed: until somebody answers.
- `stock_chief_restart_seconds`: the same where it is started again at its address at once.

null is never, within `stock_deadline_seconds`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import grpc

from benchmarks import losses
from benchmarks.losses import Loss, Recovery
from benchmarks.subjects import epochs_tuner

CHIEF = "chief"
WORKERS = ("worker-0", "worker-1")

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.02
# How long the processes may take to begin, or a started one to take part.
_START_SECONDS = 180.0
# What is struck has at least one whole epoch behind it and some before it.
_FIRST, _LAST = 2, 3

Found = TypeVar("Found")


@dataclasses.dataclass(frozen=True)
class StockPlan:
    """How often a killed process is started again, for how long one that is not is watched, and the epochs trained."""

    restarts: int
    deadline_seconds: float
    epoch_seconds: float
    epochs: int


class StockSearch:
    """The processes of one search in the empty folder `root`."""

    def __init__(self, root: Path, plan: StockPlan) -> None:
        self._root = root
        self._plan = plan
        with socket.socket() as free:
            free.bind((_HOST, 0))
            self._port = int(free.getsockname()[1])
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Starts the chief or a worker, for the first time or again."""
        config = {"trials": 10_000, "epochs": self._plan.epochs, "epoch_seconds": self._plan.epoch_seconds}
        variables = {
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": _HOST,
            "KERASTUNER_ORACLE_PORT": str(self._port),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        command = [sys.executable, "-m", "benchmarks.subjects.stock_epochs", str(self._root), json.dumps(config)]
        with (self._root / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env={**os.environ, **variables}, stdout=log, stderr=log, start_new_session=True
            )

    def strike(self, name: str) -> Loss:
        """Kills the chief, or a worker in the middle of a trial.

        Raises:
          RuntimeError: the worker comes to no trial.
        """
        process = self._processes[name]
        trial_id = None if name == CHIEF else self._await(lambda: self._trial_of(process.pid), _START_SECONDS, name)
        loss = Loss(time.time(), process.pid, signal.SIGKILL, trial_id)
        process.kill()
        process.wait()
        return loss

    def trial_goes_on(self, loss: Loss, seconds: float) -> Recovery | None:
        """Waits for the lost worker's trial to go on in another process."""
        log = self._root / epochs_tuner.LOG
        return _within(seconds, lambda: losses.recovery(loss, losses.read(log)))

    def epochs_begun(self, loss: Loss) -> int:
        """How many epochs of the lost worker's trial it had begun."""
        begun = losses.read(self._root / epochs_tuner.LOG)
        return len([epoch for epoch in begun if (epoch.pid, epoch.trial_id) == (loss.pid, loss.trial_id)])

    def answers(self, loss: Loss, seconds: float) -> Recovery | None:
        """Waits for a chief that answers."""
        return _within(seconds, lambda: Recovery(loss, time.time() - loss.when) if self._answers() else None)

    def close(self) -> None:
        """Kills what still runs."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _trial_of(self, pid: int) -> str | None:
        last = next((e for e in reversed(losses.read(self._root / epochs_tuner.LOG)) if e.pid == pid), None)
        return last.trial_id if last and _FIRST <= last.epoch <= self._plan.epochs - _LAST else None

    def _await(self, condition: Callable[[], Found | None], seconds: float, name: str) -> Found:
        found = _within(seconds, condition)
        if found is None:
            log = (self._root / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"stock keras-tuner's {name} came to no trial within {seconds:g} s:\n{log[-2000:]}")
        return found

    def _answers(self) -> bool:
        # Imported here: keras-tuner imports TensorFlow.
        from keras_tuner.src import protos

        with grpc.insecure_channel(f"{_HOST}:{self._port}") as channel:
            try:
                message = protos.get_service().GetSpaceRequest()
                protos.get_service_grpc().OracleStub(channel).GetSpace(message, timeout=1.0)
            except grpc.RpcError:
                return False
        return True


def measure(root: Path, plan: StockPlan) -> dict[str, float | None]:
    """Searches in the empty folder `root` with stock keras-tuner and returns the figures; times are medians.

    Raises:
      RuntimeError: chief or workers do not begin, or do not come back when they are started again.
    """
    root.mkdir()
    with _searching(root, plan) as stock:
        for name in (CHIEF, *WORKERS):
            stock.start(name)
        worker_back = [_restarted(stock, WORKERS[0]) for _ in range(plan.restarts)]
        # Before any chief dies: one that is started again has the trials under way run anew, be they lost or not.
        gone = stock.strike(WORKERS[1])
        recovery = stock.trial_goes_on(gone, plan.deadline_seconds)
        lost = recovery.epochs_lost if recovery else stock.epochs_begun(gone)
        chief_back = [_restarted(stock, CHIEF) for _ in range(plan.restarts)]
        service = stock.answers(stock.strike(CHIEF), plan.deadline_seconds)
    return {
        "stock_worker_death_seconds": _seconds(recovery),
        "stock_epochs_lost": lost,
        "stock_worker_restart_seconds": _median(worker_back),
        "stock_worker_restart_epochs_lost": max(each.epochs_lost for each in worker_back),
        "stock_chief_death_seconds": _seconds(service),
        "stock_chief_restart_seconds": _median(chief_back),
        "stock_deadline_seconds": plan.deadline_seconds,
    }


@contextlib.contextmanager
def _searching(root: Path, plan: StockPlan) -> Iterator[StockSearch]:
    stock = StockSearch(root, plan)
    try:
        yield stock
    finally:
        stock.close()


def _restarted(stock: StockSearch, name: str) -> Recovery:
    loss = stock.strike(name)
    stock.start(name)
    wait = stock.answers if name == CHIEF else stock.trial_goes_on
    found = wait(loss, _START_SECONDS)
    if found is None:
        raise RuntimeError(f"stock keras-tuner's {name}, started again, did not go on within {_START_SECONDS:g} s")
    return found


def _within(seconds: float, condition: Callable[[], Found | None]) -> Found | None:
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found is not None or time.monotonic() >= until:
            return found
        time.sleep(_POLL_SECONDS)


def _seconds(recovery: Recovery | None) -> float | None:
    return round(recovery.seconds, 3) if recovery else None


def _median(recoveries: list[Recovery]) -> float:
    return round(statistics.median(each.seconds for each in recoveries), 3)
