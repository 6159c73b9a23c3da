"""The options of a search: leases, limits and deadlines, validated and passed on as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from custom_components.distributed_tuner.errors import TunerError


class OptionsError(TunerError, ValueError):
    """A search option is unknown or out of its range."""


# Longer than any search; for no limit there is None.
_MOST_SECONDS = 366 * 24 * 3600


def _check_seconds(name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= _MOST_SECONDS:
        raise OptionsError(
            f"search option {name}: expected a number of seconds above 0 and at most {_MOST_SECONDS} (366 days), got "
            f"{value!r}"
        )


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """How a search treats its workers and when it ends. All times are seconds; None means no limit.

    Attributes:
      heartbeat_seconds: how often a worker tells the chief that it is alive.
      lease_seconds: a trial whose worker was silent for this long is handed on. At least twice the heartbeat.
      chief_timeout_seconds: how long a worker waits for an unreachable chief before it gives up.
      start_seconds: how long chief and workers may take from their start to the first suggestion.
      grace_seconds: time between asking a process to stop and killing it.
      max_search_seconds: the search ends after this time with the results so far.
      max_trial_seconds: a trial is asked to end with its best epoch so far after this time with its worker; executions
        (`executions_per_trial`) that have not begun are left out. One that does not finish an epoch in as long again
        (or `grace_seconds`, if that is longer) fails.
      max_epoch_seconds: a trial that finishes no epoch for this long counts as stuck and fails. The first epoch's time
        begins with the trial: reading the data, building the model and tracing it count.
      max_failed_trials: the search ends when this many trials failed in total.
      max_consecutive_failures: the search ends when this many trials failed in a row; None keeps the oracle's own
        max_consecutive_failed_trials.
      max_fruitless_losses: a trial fails when this many workers in a row died with it without finishing an epoch (out
        of memory, a crash in native code); workers that gave it back on preemption do not count.
      max_fruitless_releases: a trial fails when this many workers in a row gave it back without finishing an epoch:
        machines are preempted sooner than one epoch takes, or the trial itself sends SIGTERM.
      max_lost_workers: the search ends when this many workers were lost in total, except those whose machine was
        preempted or evicted according to the cluster.
      max_worker_faults: the search ends when workers reported this many errors outside a trial (`tuner_fn` raised or
        hangs, `search` returned too early) with no trial ended in between.
      max_worker_trials: a worker's process is replaced by a new one after this many trials, so that nothing that
        libraries or the user's code accumulate from trial to trial grows for ever. The new one calls `tuner_fn` again.
      max_worker_megabytes: a worker's process is also replaced when it uses more than this many million bytes of memory
        after a trial, and a tenth more than after its first one. None means three quarters of its allowance: of its
        container's limit or, on one machine, of its share of the memory.
      max_oracle_seconds: the search ends when the oracle takes longer than this for one answer.
      bucket_patience_seconds: the search ends when the bucket that holds the search directory is unreachable for this
        long. Errors that only a person can fix end it at once.
      allow_stock_workers: whether keras-tuner's own workers may join, see `stock_service`. They send no token and no
        heartbeats, so that anybody who reaches the chief's port may join, and `max_trial_seconds` is their lease. Not
        with Hyperband.
      repeat_configurations: whether a configuration that was tried, with whatever result, may be tried again if the
        oracle suggests it. Otherwise another one replaces it, see `populating`. Trials that Hyperband continues and
        retries are not repeats.
    """

    heartbeat_seconds: float = 2.0
    lease_seconds: float = 10.0
    chief_timeout_seconds: float = 300.0
    start_seconds: float = 300.0
    grace_seconds: float = 25.0
    max_search_seconds: float | None = None
    max_trial_seconds: float | None = None
    max_epoch_seconds: float | None = None
    max_failed_trials: int | None = None
    max_consecutive_failures: int | None = None
    max_fruitless_losses: int = 3
    max_fruitless_releases: int = 20
    max_lost_workers: int | None = None
    max_worker_faults: int = 3
    max_worker_trials: int | None = 100
    max_worker_megabytes: int | None = None
    max_oracle_seconds: float = 900.0
    bucket_patience_seconds: float = 180.0
    allow_stock_workers: bool = False
    repeat_configurations: bool = False

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and str(field.type).endswith("| None"):
                continue
            if isinstance(field.default, bool):
                if not isinstance(value, bool):
                    raise OptionsError(f"search option {field.name}: expected true or false, got {value!r}")
                continue
            if field.name.endswith("_seconds"):
                _check_seconds(field.name, value)
            elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionsError(f"search option {field.name}: expected a whole number of at least 1, got {value!r}")
        if self.allow_stock_workers and self.max_trial_seconds is None:
            raise OptionsError(
                "search option allow_stock_workers: set max_trial_seconds too, nothing else tells that one died"
            )
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise OptionsError(
                f"search option lease_seconds: expected at least twice heartbeat_seconds ({self.heartbeat_seconds}), "
                f"got {self.lease_seconds}; a single late heartbeat would lose a trial"
            )

    def to_json(self) -> str:
        """The options that differ from their defaults, as a JSON object."""
        changed = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }
        return json.dumps(changed, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> SearchOptions:
        """Reads what `to_json` wrote.

        Raises:
          OptionsError: the text is not a JSON object, or has an unknown option or a value out of range.
        """
        try:
            values: Any = json.loads(text or "{}")
        except json.JSONDecodeError as error:
            raise OptionsError(f"search options are no JSON: {error}") from error
        if not isinstance(values, dict):
            raise OptionsError(f"search options: expected a JSON object, got {type(values).__name__}")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OptionsError(f"unknown search option {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        return cls(**values)
