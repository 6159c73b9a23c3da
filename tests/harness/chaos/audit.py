"""Holds a search that ended against what searches promise. Pure: files are read by whoever calls it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.record.record import SearchRecord, TrialRecord, TrialStatus
from tests.harness.chaos import training_log
from tests.harness.chaos.training_log import Line

_FINAL = frozenset({TrialStatus.COMPLETED.value, TrialStatus.FAILED.value})


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a search that nothing disturbed finds.

    Attributes:
      trials: how many.
      results: its trials by id; empty where they are not to be compared.
      failed: the trials that have to fail, with a word of each one's message.
      lease_seconds: how long two processes may train a trial at once; None where one is cut off from its chief, so
        that nothing can tell it.
      one_clock: whether chief and trainings read the same clock.
    """

    trials: int
    results: Mapping[str, TrialRecord] = dataclasses.field(default_factory=dict)
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    lease_seconds: float | None = None
    one_clock: bool = True


@dataclasses.dataclass(frozen=True)
class Audit:
    """What was found; see `faults.Result`."""

    trials_lost: int
    trials_run_twice: int
    epochs_lost: Sequence[int]
    problems: Sequence[str]


def audit(
    record: SearchRecord,
    journal: Iterable[Mapping[str, Any]],
    stored: Mapping[str, Mapping[str, Any]],
    lines: Sequence[Line],
    expected: Expected,
) -> Audit:
    """Checks a search.

    Args:
      record: the search as its run returned it.
      journal: the chief's entries, oldest first.
      stored: keras-tuner's `trial.json` by trial id.
      lines: what the trainings wrote down.
      expected: what it should have found.
    """
    problems: list[str] = []
    final = [trial for trial in record.trials if trial.status.value in _FINAL]
    lost = [trial for trial in record.trials if trial not in final]
    problems += [f"trial {trial.trial_id} ended as {trial.status.value}: {trial.message}" for trial in lost]
    missing = max(0, expected.trials - len(record.trials))
    if len(record.trials) != expected.trials:
        problems.append(f"{len(record.trials)} trials instead of {expected.trials} (stopped: {record.stop_reason})")
    twice = _ended_twice(journal)
    again: set[str] = set()
    at_once: set[str] = set()
    if expected.lease_seconds is not None:
        at_once = training_log.trained_at_once(lines, expected.lease_seconds)
        # A trial may be on its way to a worker when the late result of another one ends it. That no trial is handed out
        # once it has ended, to the moment, is what the journal tells.
        ended = {
            trial.trial_id: (trial.stays[-1].ended or float("inf")) + expected.lease_seconds
            for trial in final
            if trial.stays
        }
        again = training_log.started_after(lines, ended) if expected.one_clock else set()
    problems += [f"trial {name} ended more than once" for name in sorted(twice)]
    problems += [f"trial {name} was started after it had ended" for name in sorted(again)]
    problems += [f"trial {name} was trained by two processes at once" for name in sorted(at_once)]
    for trial in final:
        problems += _trial_problems(trial, stored.get(trial.trial_id), expected)
    return Audit(len(lost) + missing, len(twice | again | at_once), training_log.epochs_lost(lines), problems)


def _ended_twice(journal: Iterable[Mapping[str, Any]]) -> set[str]:
    """The trials that became final twice, or ceased to be final."""
    before: dict[str, Any] = {}
    twice = set()
    for entry in journal:
        for name, state in entry.get("trials", {}).items():
            end = (state["status"], state["score"]) if state["status"] in _FINAL else None
            if before.get(name) is not None and end != before[name]:
                twice.add(name)
            before[name] = end
    return twice


def _trial_problems(trial: TrialRecord, stored: Mapping[str, Any] | None, expected: Expected) -> list[str]:
    name, problems = trial.trial_id, []
    word = expected.failed.get(name)
    if word is None and trial.status is TrialStatus.FAILED:
        problems.append(f"trial {name} failed: {trial.message}")
    if word is not None and (trial.status is not TrialStatus.FAILED or word not in (trial.message or "")):
        problems.append(f"trial {name} should have failed with {word!r}: {trial.status.value}, {trial.message}")
    if stored is None or (stored["status"], stored["score"]) != (trial.status.value, trial.score):
        problems.append(f"trial {name} is {trial.status.value} {trial.score}, its trial.json says {stored}")
    reference = expected.results.get(name)
    if reference is not None:
        for field in ("hyperparameters", "score", "best_step", "epochs"):
            got, wanted = getattr(trial, field), getattr(reference, field)
            if got != wanted:
                problems.append(f"trial {name}: {field} is {got}, left alone it is {wanted}")
    return problems
