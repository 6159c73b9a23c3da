"""An oracle's state as patches, each costing as much as the change, not the whole state.

keras-tuner's oracles keep a handful of containers that grow with the search (the order of trials, the hash of each
configuration …). Only the entries of the current trials change in them, so only these are looked at. What its
subclasses add to the state is compared as a whole, and so is all state of an oracle that is not keras-tuner's own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.tuners import gridsearch

from custom_components.distributed_tuner.oracle import patches

_SPACE = "hyperparameters"
_TRIED = "tried_so_far"
_ONGOING = "ongoing_trials"
# The console's counters; no search depends on them.
_DISPLAY = "display"
_BASE = frozenset(
    {"start_order", "end_order", "run_times", "id_to_hash", "retry_queue", "seed", "seed_state"}
    | {_SPACE, _TRIED, _ONGOING, _DISPLAY}
)

_GRID = "grid_queue"


class _Tried(set[str]):
    """A set that records what was added and removed since the last `take`."""

    def __init__(self, values: Collection[str]) -> None:
        super().__init__(values)
        self._added: dict[str, bool] = {}
        self._removed: dict[str, bool] = {}

    def add(self, value: str) -> None:
        if value not in self:
            super().add(value)
            self._removed.pop(value, None)
            self._added[value] = True

    def remove(self, value: str) -> None:
        super().remove(value)
        if not self._added.pop(value, False):
            self._removed[value] = True

    def take(self) -> tuple[dict[str, bool], list[str]]:
        added, removed = self._added, list(self._removed)
        self._added, self._removed = {}, {}
        return added, removed


class OracleState:
    """Tracks the state of one oracle. Called by the same thread as the oracle."""

    def __init__(self, oracle: oracle_module.Oracle) -> None:
        self._oracle = oracle
        self._known = type(oracle).__module__.startswith("keras_tuner.")
        self._adds_to_state = type(oracle).get_state is not oracle_module.Oracle.get_state or isinstance(
            oracle, gridsearch.GridSearchOracle
        )
        self._compared_before: patches.State = {}
        # The stored length of each list that only grows; empty before anything is stored.
        self._lengths: dict[str, int] = {}
        self._space_size = -1
        self._space: Any = None
        self.space: dict[str, Any] = oracle.hyperparameters.get_config()

    def changes(self, trial_ids: Collection[str]) -> patches.Patch:
        """What changed since the last call, as a patch of `patches.diff`.

        Args:
          trial_ids: the trials that the oracle has dealt with since then.
        """
        oracle = self._oracle
        patch = self._compared()
        if not self._known:
            return patch
        if not self._lengths:
            state = patches.freeze({**self._by_trial(list(oracle.trials)), **self._lists()})
            state[_TRIED] = dict.fromkeys(oracle._tried_so_far, True)
            self._follow()
            return patches.diff({}, state) | patch
        for key, values in self._lists().items():
            if len(values) != self._lengths[key]:
                patch[key] = ["append", list(values[self._lengths[key] :])]
                self._lengths[key] = len(values)
        for key, entries in self._by_trial(trial_ids).items():
            # A trial that ended is no longer ongoing; other entries are never removed.
            gone = [trial_id for trial_id in trial_ids if trial_id not in entries] if key == _ONGOING else []
            if entries or gone:
                patch[key] = ["update", entries, gone]
        added, removed = oracle._tried_so_far.take()
        if added or removed:
            patch[_TRIED] = ["update", added, removed]
        return patch

    def restore(self, state: patches.State) -> None:
        """Restores the oracle from the merged patches. Its trials must have been restored before."""
        _set(self._oracle, patches.thaw(state))
        if self._known:
            self._follow()
        self._compared()

    def _follow(self) -> None:
        oracle = self._oracle
        oracle._tried_so_far = _Tried(oracle._tried_so_far)
        self._lengths = {key: len(values) for key, values in self._lists().items()}

    def _lists(self) -> dict[str, list[str]]:
        return {"start_order": self._oracle.start_order, "end_order": self._oracle.end_order}

    def _by_trial(self, trial_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        oracle = self._oracle
        return {
            "run_times": {key: oracle._run_times[key] for key in trial_ids if key in oracle._run_times},
            "id_to_hash": {key: oracle._id_to_hash[key] for key in trial_ids if key in oracle._id_to_hash},
            _ONGOING: {key: key for key in trial_ids if key in oracle.ongoing_trials},
        }

    def _compared(self) -> patches.Patch:
        """Changes found by comparison: of small values, of a subclass's own, and for unknown oracles of everything."""
        oracle = self._oracle
        if len(oracle.hyperparameters.space) != self._space_size:
            # Entries are only ever added to a space.
            self._space_size = len(oracle.hyperparameters.space)
            self.space = oracle.hyperparameters.get_config()
            self._space = patches.freeze({_SPACE: self.space})[_SPACE]
        compared: dict[str, Any] = {
            "retry_queue": oracle._retry_queue,
            "seed": oracle.seed,
            "seed_state": oracle._seed_state,
            **_grid_state(oracle),
        }
        if self._adds_to_state or not self._known:
            left_out = _BASE if self._known else {_DISPLAY}
            compared |= {key: value for key, value in oracle.get_state().items() if key not in left_out}
        if not self._known:
            # A set has no order, so as a list it could not be compared.
            compared[_TRIED] = dict.fromkeys(compared[_TRIED], True)
        frozen = patches.freeze(compared)
        frozen[_SPACE] = self._space
        patch = patches.diff(self._compared_before, frozen)
        self._compared_before = frozen
        return patch


def _grid_state(oracle: oracle_module.Oracle) -> dict[str, Any]:
    """The queue of a grid search, which keras-tuner does not store."""
    if not isinstance(oracle, gridsearch.GridSearchOracle):
        return {}
    queue = oracle._ordered_ids
    return {
        f"{_GRID}_next": list(oracle._populate_next),
        f"{_GRID}_memory": list(queue._memory),
        f"{_GRID}_links": {str(k): v for k, v in queue._next_index.items() if v is not None},
        f"{_GRID}_last": queue._last_index,
    }


def _set(oracle: oracle_module.Oracle, state: dict[str, Any]) -> None:
    state = dict(state)
    state[_TRIED] = list(state[_TRIED])
    state[_DISPLAY] = oracle._display.get_state()
    if isinstance(oracle, gridsearch.GridSearchOracle):
        queue = gridsearch.LinkedList()
        queue._memory = list(state.pop(f"{_GRID}_memory"))
        queue._data_to_index = {data: index for index, data in enumerate(queue._memory)}
        for key, value in state.pop(f"{_GRID}_links").items():
            queue._next_index[None if key == "None" else int(key)] = value
        queue._last_index = state.pop(f"{_GRID}_last")
        oracle._ordered_ids = queue
        oracle._populate_next = list(state.pop(f"{_GRID}_next"))
    oracle.set_state(state)
