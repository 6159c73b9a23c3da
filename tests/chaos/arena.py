"""Runs one search with real processes while something is done to it, and holds the end against what it promises."""

from __future__ import annotations

import contextlib
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

from custom_components.distributed_tuner import files, journal, search
from custom_components.distributed_tuner.cluster.base import ClusterError, Snapshot
from custom_components.distributed_tuner.cluster.fork_server_handle import ForkServerHandle
from custom_components.distributed_tuner.cluster.local import CHIEF, LocalCluster, worker_name
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import SearchRecord, TrialRecord
from custom_components.distributed_tuner.search_dir import SearchDir
from custom_components.distributed_tuner.spec import SearchSpec
from tests.chaos import training_log
from tests.chaos.audit import Audit, Expected, audit
from tests.chaos.faults import Result

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
        properties = {"tuner_fn": "tests.chaos.tuners.tuner", "custom_config": json.dumps(config)}
        spec = SearchSpec(name="chaos", inputs="", exec_properties=properties, options=plan.options)

        def run() -> None:
            try:
                self.found = search.run(
                    spec, self.directory, self.cluster, token=token, workers=plan.workers, watch=self._look
                )
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


@dataclasses.dataclass
class Arena:
    """Where faults are tried.

    Attributes:
      root: searches get a folder each under it.
      server: forks their processes.
      seed: of all that is random in the faults.
      small: whether this is the part of the suite that runs with the other tests.
    """

    root: Path
    server: ForkServerHandle
    seed: int = 0
    small: bool = False
    _count: int = 0
    _references: dict[tuple[int, int, str], dict[str, TrialRecord]] = dataclasses.field(default_factory=dict)

    def folder(self, name: str) -> Path:
        """A new folder."""
        self._count += 1
        path = self.root / f"{self._count:03d}-{name.replace(' ', '-')}"
        path.mkdir(parents=True)
        return path

    def start(self, name: str, plan: Plan, *, root: Path | None = None, worker_address: str | None = None) -> Running:
        """Starts a search, in a new folder or once more in an earlier one."""
        return Running(root or self.folder(name), self.server, plan, worker_address)

    def reference(self, plan: Plan) -> dict[str, TrialRecord]:
        """The trials of the same search when nothing disturbs it."""
        key = plan.trials, plan.epochs, plan.algorithm
        if key not in self._references:
            alone = Plan(plan.trials, plan.epochs, seconds=0.0, workers=2, algorithm=plan.algorithm)
            running = self.start("alone", alone)
            if not running.join(300.0) or running.found is None:
                raise RuntimeError(f"the undisturbed search failed: {running.error}\n{tails(running)}")
            self._references[key] = {trial.trial_id: trial for trial in running.found.record.trials}
        return self._references[key]

    def expected(self, plan: Plan, **changes: Any) -> Expected:
        """What this plan has to find."""
        reference = self.reference(plan)
        # Only random search suggests the same whatever ends first.
        results = reference if plan.algorithm == "random" else {}
        whole = Expected(len(reference), results, lease_seconds=plan.options.lease_seconds + plan.seconds)
        return dataclasses.replace(whole, **changes)

    def end(
        self,
        fault: str,
        running: Running,
        expected: Expected,
        *,
        deadline: float,
        tries: int = 1,
        kills: int = 0,
        note: str = "",
    ) -> Result:
        """Waits for the search and judges it: each try is recovered if the search ended whole.

        Args:
          fault: its name.
          running: the search.
          expected: what it has to find.
          deadline: seconds for the rest of the search.
          tries: how often the fault was brought about.
          kills: how many of them were kills.
          note: see `Result`.
        """
        in_time = running.join(deadline)
        seconds = time.monotonic() - running.began
        if not in_time or running.found is None:
            why = f"no end within {deadline:g} s" if not in_time else f"{type(running.error).__name__}: {running.error}"
            return Result(
                fault,
                tries=tries,
                kills=kills,
                hangs=0 if in_time else 1,
                seconds=seconds,
                trials_lost=_open_trials(running.record, expected.trials),
                note=note,
                problems=[f"{running.root.name}: {why}\n{tails(running)}"],
            )
        seen = examine(running, running.found.record, expected)
        problems = [f"{running.root.name}: {problem}" for problem in seen.problems]
        if running.found.error is not None:
            problems.append(f"{running.root.name}: a process gave up: {running.found.error[1]}")
        return Result(
            fault,
            tries=tries,
            kills=kills,
            recovered=0 if problems else tries,
            seconds=seconds,
            trials_lost=seen.trials_lost,
            trials_run_twice=seen.trials_run_twice,
            epochs_lost=sum(seen.epochs_lost),
            epochs_lost_max=max(seen.epochs_lost, default=0),
            note=note,
            problems=problems,
        )


def examine(running: Running, record: SearchRecord, expected: Expected) -> Audit:
    """Reads what a search that ended left, and checks it."""
    stored: dict[str, dict[str, Any]] = {}
    for path in running.root.glob("project/trial_*/trial.json"):
        stored[path.parent.name.removeprefix("trial_")] = files.read_json(path) or {}
    entries = journal.read(running.directory.journal)
    return audit(record, entries, stored, running.lines(), expected)


def failed_clearly(
    fault: str, running: Running, words: tuple[str, ...], *, deadline: float, note: str = "", lines: int = 1
) -> Result:
    """Judges a search that has to end with an error whose first line, or first `lines`, hold all of `words`."""
    in_time = running.join(deadline)
    message = str(running.error or (running.found and running.found.error and running.found.error[1]) or "")
    first = message.splitlines()[:lines]
    clear = in_time and all(word in "\n".join(first) for word in words) and not any("Traceback" in w for w in first[:1])
    problems = [] if clear else [f"{running.root.name}: expected {words}, got {message!r}\n{tails(running)}"]
    return Result(
        fault,
        tries=1,
        clear_errors=int(clear),
        hangs=int(not in_time),
        seconds=time.monotonic() - running.began,
        note=note,
        problems=problems,
    )


def tails(running: Running, lines: int = 15) -> str:
    """The ends of the logs."""
    parts = []
    for member in running.members:
        with contextlib.suppress(OSError):
            parts.append(f"--- {member}\n{files.tail(running.directory.log(member), lines)}")
    return "\n".join(parts)


def _open_trials(record: SearchRecord | None, trials: int) -> int:
    ended = 0 if record is None else len(record.completed()) + len(record.failed())
    return max(0, trials - ended)
