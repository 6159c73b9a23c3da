"""The progress of a search in one line."""

from __future__ import annotations

from custom_components.distributed_tuner.record import formatting, summary
from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus


def seconds_left(record: SearchRecord, now: float, workers_alive: int) -> float | None:
    """Estimates the remaining time of the search, seconds; None if there is nothing to estimate it from.

    The mean time that completed trials spent with workers, times the number of trials that have not ended, minus the
    time that those already begun have had, divided among the workers that can still get a trial. It ignores start-up,
    and assumes trials of about equal length.

    Args:
      record: the search so far.
      now: seconds since the epoch.
      workers_alive: how many workers can take a trial.
    """
    completed = [trial for trial in record.trials if trial.status is TrialStatus.COMPLETED and trial.stays]
    if record.max_trials is None or workers_alive <= 0 or not completed:
        return None
    mean = sum(summary.busy_seconds(trial, now) for trial in completed) / len(completed)
    open_trials = record.max_trials - ended(record)
    if open_trials <= 0:
        return 0.0
    begun = [trial for trial in record.trials if trial.status in (TrialStatus.RUNNING, TrialStatus.WAITING)]
    work = open_trials * mean - sum(min(mean, summary.busy_seconds(trial, now)) for trial in begun)
    return max(0.0, work) / min(workers_alive, open_trials)


def line(record: SearchRecord, now: float, workers_alive: int) -> str:
    """The state of the search in one line: trials, workers, the time left, the best so far, and which way is better.

    Args:
      record: the search so far.
      now: seconds since the epoch.
      workers_alive: how many workers could take a trial at this moment.
    """
    parts = [*counts(record, workers_alive), *_time_left(record, now, workers_alive), *best(record)]
    return "; ".join(parts)


def ended(record: SearchRecord) -> int:
    """How many trials have ended, with or without a score."""
    return sum(record.count(status) for status in (TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.STOPPED))


def counts(record: SearchRecord, workers_alive: int) -> list[str]:
    """The trials by status, and the workers: two parts of the line."""
    of_max = f" of {record.max_trials:,}" if record.max_trials is not None else ""
    found = [f"{record.count(TrialStatus.COMPLETED):,}{of_max} trials done"]
    for status in (TrialStatus.RUNNING, TrialStatus.WAITING, TrialStatus.FAILED, TrialStatus.STOPPED):
        count = record.count(status)
        if count or status in (TrialStatus.RUNNING, TrialStatus.FAILED):
            found.append(f"{count:,} {status.value.lower()}")
    return [", ".join(found), formatting.plural(workers_alive, "worker")]


def best(record: SearchRecord) -> list[str]:
    """The best score so far, and which way is better: a part of the line."""
    first = next(iter(record.completed()), None)
    better = f"{record.direction.better} is better"
    if first is None:
        return [f"{record.objective}: {better}"]
    return [f"best {record.objective} {formatting.score(first.score)} (trial {first.trial_id}, {better})"]


def _time_left(record: SearchRecord, now: float, workers_alive: int) -> list[str]:
    left = seconds_left(record, now, workers_alive) if record.ended is None else None
    return [] if left is None else [f"about {formatting.duration(left)} left"]
