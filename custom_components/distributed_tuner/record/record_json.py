"""Converts a record to JSON and back; errors name the place in the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner.errors import CorruptState
from custom_components.distributed_tuner.record import fields
from custom_components.distributed_tuner.record.record import (
    INTERNAL_PREFIX,
    Direction,
    Outcome,
    SearchRecord,
    Stay,
    TrialRecord,
    TrialStatus,
)


def trial_to_json(trial: TrialRecord) -> dict[str, Any]:
    """A trial as JSON-able data."""
    return {
        "trial_id": trial.trial_id,
        "status": trial.status.value,
        "hyperparameters": dict(trial.hyperparameters),
        "score": trial.score,
        "best_step": trial.best_step,
        "epochs": trial.epochs,
        "message": trial.message,
        "stays": [[stay.worker, stay.started, stay.ended, stay.outcome.value] for stay in trial.stays],
    }


def record_to_json(record: SearchRecord) -> dict[str, Any]:
    """A record as JSON-able data."""
    return {
        "name": record.name,
        "objective": record.objective,
        "direction": record.direction.value,
        "trials": [trial_to_json(trial) for trial in record.trials],
        "max_trials": record.max_trials,
        "started": record.started,
        "ended": record.ended,
        "stop_reason": record.stop_reason,
        "ran_out": record.ran_out,
        "notices": list(record.notices),
    }


def record_from_json(data: object) -> SearchRecord:
    """Undoes `record_to_json`, also that of an earlier version.

    Raises:
      CorruptState: the data is not a record; the message names the place.
    """
    try:
        record = fields.check({**_ADDED, **fields.mapping(data, "the whole")}, _RECORD, "")
        trials = [fields.check(trial, _TRIAL, f"trials[{index}]") for index, trial in enumerate(record["trials"])]
        return SearchRecord(**{**record, "trials": tuple(TrialRecord(**trial) for trial in trials)})
    except ValueError as error:
        raise CorruptState(f"this is no record of a search: {error}") from error


def _stays(value: object, place: str) -> tuple[Stay, ...]:
    return tuple(_stay(each, f"{place}[{index}]") for index, each in enumerate(fields.array(value, place)))


def _stay(value: object, place: str) -> Stay:
    worker, started, ended, outcome = fields.array(value, place, 4)
    return Stay(
        fields.text(worker, f"{place}[0]"),
        fields.time(started, f"{place}[1]"),
        _TIME_OR_NONE(ended, f"{place}[2]"),
        _OUTCOME(outcome, f"{place}[3]"),
    )


def _texts(value: object, place: str) -> tuple[str, ...]:
    return tuple(fields.text(each, f"{place}[{index}]") for index, each in enumerate(fields.array(value, place)))


def _hyperparameters(value: object, place: str) -> dict[str, Any]:
    # An oracle's own entries are not checked.
    return {
        fields.text(name, place): each if name.startswith(INTERNAL_PREFIX) else fields.scalar(each, f"{place}.{name}")
        for name, each in fields.mapping(value, place).items()
    }


_TIME_OR_NONE = fields.optional(fields.time)
_OUTCOME = fields.one_of(Outcome)
_TRIAL: Mapping[str, fields.Kind] = {
    "trial_id": fields.text,
    "status": fields.one_of(TrialStatus),
    "hyperparameters": _hyperparameters,
    "score": fields.optional(fields.number),
    "best_step": fields.optional(fields.whole),
    "epochs": fields.whole,
    "message": fields.optional(fields.text),
    "stays": _stays,
}
_RECORD: Mapping[str, fields.Kind] = {
    "name": fields.text,
    "objective": fields.text,
    "direction": fields.one_of(Direction),
    "trials": fields.array,
    "max_trials": fields.optional(fields.number),
    "started": fields.time,
    "ended": _TIME_OR_NONE,
    "stop_reason": fields.optional(fields.text),
    "ran_out": fields.optional(fields.text),
    "notices": _texts,
}
# Defaults for fields that an earlier version did not write.
_ADDED: Mapping[str, Any] = {"ran_out": None, "notices": []}
