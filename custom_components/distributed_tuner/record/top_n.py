"""Which configurations a search hands on, or why it cannot. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.record.record import INTERNAL_PREFIX, SearchRecord, TrialRecord, TrialStatus

_MAX_SHOWN_FAILURES = 5


class TooFewTrials(SearchError):
    """The search completed fewer distinct configurations than were asked for."""


def choose(record: SearchRecord, count: int, error: tuple[str, str, str] | None = None) -> tuple[TrialRecord, ...]:
    """The best `count` completed trials of distinct configurations, best first.

    Args:
      record: the search.
      count: how many are needed.
      error: (process, message, traceback) if a process of the search gave up.

    Raises:
      TooFewTrials: there are fewer. The message lists the failures.
    """
    distinct = record.distinct()
    if len(distinct) < count:
        raise TooFewTrials(_shortage(record, len(distinct), count, error))
    return distinct[:count]


def without_internals(config: Mapping[str, Any]) -> dict[str, Any]:
    """A `HyperParameters.get_config()` without the entries that Hyperband keeps among the values."""
    values = {name: value for name, value in config["values"].items() if not name.startswith(INTERNAL_PREFIX)}
    return {**config, "values": values}


def results(record: SearchRecord) -> list[dict[str, Any]]:
    """All completed trials, best first, one flat row each, as TFX's Tuner writes them into `tuner_results.json`.

    That is: the hyperparameters in the order of the search space, and no row for a trial that has none.
    """
    rows = [trial for trial in record.completed() if trial.hyperparameters]
    return [{"trial_id": trial.trial_id, "score": trial.score, **trial.values} for trial in rows]


def _by_end(failed: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Failed trials in the order in which they ended, then those that a limit stopped, which are nobody's fault."""

    def key(trial: TrialRecord) -> tuple[bool, float]:
        return trial.status is TrialStatus.STOPPED, math.inf if trial.ended is None else trial.ended

    return sorted(failed, key=key)


def _shortage(record: SearchRecord, found: int, count: int, error: tuple[str, str, str] | None) -> str:
    completed = len(record.completed())
    lines = [
        f"the search found {found} distinct completed configuration{'' if found == 1 else 's'}, {count} needed "
        f"({len(record.trials)} trials: {completed} completed, {len(record.failed())} failed or stopped)."
    ]
    if record.stop_reason:
        lines.append(f"It was stopped: {record.stop_reason}")
    if record.ran_out:
        lines.append(f"It ended early: {record.ran_out}.")
    if error is not None:
        process, message, trace = error
        lines.append(f"{process} gave up: {message}" if message != record.stop_reason else f"Reported by {process}.")
        if trace and trace not in message:
            lines.append(trace.rstrip())
    failed = _by_end(record.failed())
    # The first failure in full, with its traceback, then one line for each: they are mostly the same.
    full = next((trial for trial in failed if trial.message), None)
    for trial in failed[:_MAX_SHOWN_FAILURES]:
        lines.append(f"trial {trial.trial_id}: {(trial.message or '').strip() if trial is full else trial.cause}")
    if len(failed) > _MAX_SHOWN_FAILURES:
        lines.append(f"and {len(failed) - _MAX_SHOWN_FAILURES} more")
    if not failed and error is None:
        lines.append(_advice(record, found))
    return "\n".join(lines)


def _advice(record: SearchRecord, found: int) -> str:
    fewer = f"ask for the best {max(1, found)} only" if found else ""
    if record.ran_out:
        return f"Widen the search space{', or ' + fewer if fewer else ''}."
    more = f"more trials than {len(record.trials)} (Hyperband: longer ones, its brackets grow with their epochs)"
    return f"Try {more}, widen the search space{', or ' + fewer if fewer else ''}."
