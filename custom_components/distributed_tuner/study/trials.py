"""The trials of a study, and which of them changed: since a reader's last look, and since the last save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from custom_components.distributed_tuner.record.record import HyperparameterValue, TrialRecord, TrialStatus
from custom_components.distributed_tuner.study import live_trial
from custom_components.distributed_tuner.study.live_trial import Trial


class Trials:
    """The trials by id, in the order of their start.

    Attributes:
      revision: grows with each change; `touch` counts a change outside the trials.
    """

    def __init__(self) -> None:
        self._trials: dict[str, Trial] = {}
        # The revision of each trial's last change, the latest last.
        self._changed: dict[str, int] = {}
        self._unsaved: set[str] = set()
        self.revision = 0

    def __getitem__(self, trial_id: str) -> Trial:
        return self._trials[trial_id]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials.values())

    def get(self, trial_id: str) -> Trial | None:
        """The trial, None if there is none of that id."""
        return self._trials.get(trial_id)

    def add(self, trial_id: str, hyperparameters: Mapping[str, HyperparameterValue]) -> Trial:
        """Adds a new trial, in state WAITING."""
        trial = Trial(trial_id, TrialStatus.WAITING, dict(hyperparameters), number=len(self._trials))
        self._trials[trial_id] = trial
        return trial

    def put_back(self, trial_id: str, state: Mapping[str, Any]) -> Trial:
        """Restores a trial as `take_unsaved` returned it, after those restored before."""
        trial = live_trial.from_state(trial_id, state, number=len(self._trials))
        self._trials[trial_id] = trial
        return trial

    def changed(self, trial: Trial) -> None:
        """Records a change to this trial."""
        self.touch()
        self._unsaved.add(trial.trial_id)
        self._changed.pop(trial.trial_id, None)
        self._changed[trial.trial_id] = self.revision

    def touch(self) -> None:
        """Records a change outside the trials."""
        self.revision += 1

    def records(self, since: int) -> tuple[TrialRecord, ...]:
        """Those that changed after this revision, in the order of their start; takes time in their number only."""
        changed: list[Trial] = []
        for trial_id in reversed(self._changed):
            if self._changed[trial_id] <= since:
                break
            changed.append(self._trials[trial_id])
        return tuple(trial.to_record() for trial in sorted(changed, key=lambda trial: trial.number))

    def take_unsaved(self) -> dict[str, dict[str, Any]]:
        """Those that changed since the last call, as JSON-able data by id."""
        taken = {trial_id: live_trial.to_state(self._trials[trial_id]) for trial_id in sorted(self._unsaved)}
        self._unsaved.clear()
        return taken
