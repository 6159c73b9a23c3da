"""A record in figures: totals, ranks, and why trials failed."""

from __future__ import annotations

import dataclasses

from custom_components.distributed_tuner.record import cause, formatting
from custom_components.distributed_tuner.record.record import (
    INTERNAL_PREFIX,
    HyperparameterValue,
    Outcome,
    SearchRecord,
    TrialRecord,
    TrialStatus,
)

NO_REASON = "No reason was recorded."
NO_SCORE = "Completed without a finite score."


def presentable(record: SearchRecord) -> SearchRecord:
    """The record with invisible characters in its texts escaped: a value may come from a file name of any bytes."""

    def shown(trial: TrialRecord) -> TrialRecord:
        values = {
            formatting.visible(name): formatting.visible(value) if isinstance(value, str) else value
            for name, value in trial.hyperparameters.items()
        }
        message = trial.message and "\n".join(map(formatting.visible, trial.message.split("\n")))
        return dataclasses.replace(trial, hyperparameters=values, message=message)

    trials, notices = map(shown, record.trials), map(formatting.visible, record.notices)
    return dataclasses.replace(record, trials=tuple(trials), notices=tuple(notices))


@dataclasses.dataclass(frozen=True)
class Summary:
    """A search in figures. `wall_seconds`, and `worker_seconds` summed over all stays, are as of the moment given."""

    total: int
    completed: int
    failed: int
    stopped: int
    running: int
    waiting: int
    distinct: int
    workers: int
    lost: int
    released: int
    wall_seconds: float
    worker_seconds: float
    best: TrialRecord | None

    @property
    def mean_busy_workers(self) -> float:
        """How many workers held a trial on average over the wall time."""
        return self.worker_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A completed trial and its rank. A repeat has the rank of the better trial with the same configuration."""

    rank: int
    trial: TrialRecord
    repeat: bool


@dataclasses.dataclass(frozen=True)
class FailureGroup:
    """Trials that ended without a score for the same reason, in the order of their start; never empty."""

    reason: str
    trials: tuple[TrialRecord, ...]


def busy_seconds(trial: TrialRecord, now: float) -> float:
    """How long the trial was held by workers in total, seconds; an ongoing stay counts up to `now`."""
    return sum(max(0.0, (now if stay.ended is None else stay.ended) - stay.started) for stay in trial.stays)


def last_moment(record: SearchRecord, now: float) -> float:
    """The time up to which the record applies: the end of the search, or `now` while it runs."""
    return now if record.ended is None else record.ended


def summarise(record: SearchRecord, now: float) -> Summary:
    """Counts the record as of `now`, seconds since the epoch."""
    until = last_moment(record, now)
    outcomes = [stay.outcome for trial in record.trials for stay in trial.stays]
    completed = record.completed()
    return Summary(
        total=len(record.trials),
        completed=record.count(TrialStatus.COMPLETED),
        failed=record.count(TrialStatus.FAILED),
        stopped=record.count(TrialStatus.STOPPED),
        running=record.count(TrialStatus.RUNNING),
        waiting=record.count(TrialStatus.WAITING),
        distinct=len(record.distinct()),
        workers=len(record.workers()),
        lost=outcomes.count(Outcome.LOST),
        released=outcomes.count(Outcome.RELEASED),
        wall_seconds=max(0.0, until - record.started),
        worker_seconds=sum(busy_seconds(trial, until) for trial in record.trials),
        best=completed[0] if completed else None,
    )


def ranked(record: SearchRecord) -> tuple[Ranked, ...]:
    """The completed trials, best first, ranked by distinct configuration like the choice of the top N."""
    ranks: dict[tuple[tuple[str, HyperparameterValue], ...], int] = {}
    places = []
    for trial in record.completed():
        repeat = trial.configuration in ranks
        rank = ranks.setdefault(trial.configuration, len(ranks) + 1)
        places.append(Ranked(rank, trial, repeat))
    return tuple(places)


def hyperparameter_names(trials: tuple[TrialRecord, ...]) -> tuple[str, ...]:
    """Every hyperparameter that any of the trials has, in order of first appearance, without the oracle's own."""
    names = dict.fromkeys(name for trial in trials for name in trial.hyperparameters)
    return tuple(name for name in names if not name.startswith(INTERNAL_PREFIX))


def reason(trial: TrialRecord) -> str:
    """Why the trial ended, in one line."""
    return cause.of_message(trial.message) or (NO_SCORE if trial.status is TrialStatus.COMPLETED else NO_REASON)


def failure_groups(record: SearchRecord) -> tuple[FailureGroup, ...]:
    """Trials that ended without a usable score, grouped by reason, the commonest reason first."""
    scored = {trial.trial_id for trial in record.completed()}
    groups: dict[str, list[TrialRecord]] = {}
    for trial in record.trials:
        open_still = trial.status in (TrialStatus.RUNNING, TrialStatus.WAITING)
        if not open_still and trial.trial_id not in scored:
            groups.setdefault(reason(trial), []).append(trial)
    by_size = sorted(groups.items(), key=lambda item: -len(item[1]))
    return tuple(FailureGroup(text, tuple(trials)) for text, trials in by_size)
