"""Where faults are tried: starts searches, and holds the end of each against what it promises."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.host import files
from custom_components.distributed_tuner.record.record import SearchRecord, TrialRecord
from custom_components.distributed_tuner.storage import journal
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.harness.chaos import training_log
from tests.harness.chaos.audit import Audit, Expected, audit
from tests.harness.chaos.faults import Result
from tests.harness.chaos.running import Plan, Running


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

    def reference(self, plan: Plan, deadline: float = 300.0) -> dict[str, TrialRecord]:
        """The trials of the same search when nothing disturbs it; it may take `deadline` seconds."""
        key = plan.trials, plan.epochs, plan.algorithm
        if key not in self._references:
            alone = Plan(plan.trials, plan.epochs, seconds=0.0, workers=2, algorithm=plan.algorithm)
            running = self.start("alone", alone)
            if not running.join(deadline) or running.found is None:
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
        seen = examine(running.root, running.found.record, expected)
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


def examine(root: Path, record: SearchRecord, expected: Expected) -> Audit:
    """Reads what a search that ended left in its directory, and checks it."""
    stored: dict[str, dict[str, Any]] = {}
    for path in root.glob("project/trial_*/trial.json"):
        stored[path.parent.name.removeprefix("trial_")] = files.read_json(path) or {}
    entries = journal.read(SearchDir(root).journal)
    return audit(record, entries, stored, training_log.read(root), expected)


def failed_clearly(
    fault: str, running: Running, words: tuple[str, ...], *, deadline: float, note: str = "", lines: int = 1
) -> Result:
    """Judges a search that has to end with an error.

    Args:
      fault: its name.
      running: the search.
      words: what the first line of the error has to hold; `a|b` is one of the two.
      deadline: seconds for the rest of the search.
      note: see `Result`.
      lines: how many of its first lines count.
    """
    in_time = running.join(deadline)
    message = str(running.error or (running.found and running.found.error and running.found.error[1]) or "")
    text = "\n".join(message.splitlines()[:lines])
    said = all(any(either in text for either in word.split("|")) for word in words)
    clear = in_time and said and "Traceback" not in message.partition("\n")[0]
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
