"""The search's record in a file that anybody may read while the search runs."""

from __future__ import annotations

import dataclasses

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.record.record_json import record_to_json, trial_to_json
from custom_components.distributed_tuner.storage.base import Storage
from custom_components.distributed_tuner.storage.search_dir import RECORD


class RecordFile:
    """Writes a record from its changes: a trial is serialized only when it changed."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._trials: dict[str, str] = {}

    def write(self, changed: SearchRecord) -> None:
        """Replaces the file by the current record.

        Args:
          changed: the record with only those trials that changed since the last call.

        Raises:
          OSError: the write failed.
        """
        for trial in changed.trials:
            self._trials[trial.trial_id] = encoding.dumps(trial_to_json(trial))
        head = encoding.dumps(record_to_json(dataclasses.replace(changed, trials=())))
        trials = ",".join(self._trials.values())
        text = head.replace('"trials":[]', f'"trials":[{trials}]', 1)
        self._storage.write(RECORD, text.encode())
