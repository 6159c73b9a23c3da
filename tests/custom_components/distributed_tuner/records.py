"""Searches as data for the tests: made by hand, or any at all."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from custom_components.distributed_tuner.record.record import (
    Direction,
    HyperparameterValue,
    Outcome,
    SearchRecord,
    Stay,
    TrialRecord,
    TrialStatus,
)


def trial(
    trial_id: str, score: float | None = None, status: TrialStatus = TrialStatus.COMPLETED, **values: Any
) -> TrialRecord:
    """A trial with one stay, which ended at the time that its id says."""
    message = values.pop("message", None)
    outcome = Outcome.COMPLETED if status is TrialStatus.COMPLETED else Outcome.FAILED
    stay = Stay("worker-0", 0.0, float(trial_id), outcome)
    return TrialRecord(trial_id, status, values or {"x": int(trial_id)}, score, message=message, stays=(stay,))


def search(*trials: TrialRecord, direction: Direction = Direction.MIN, **values: Any) -> SearchRecord:
    """A search of these trials."""
    return SearchRecord("search", "val_loss", direction, trials, max_trials=len(trials), started=0.0, **values)


def any_search() -> st.SearchStrategy[SearchRecord]:
    """Searches of all kinds."""
    times = st.floats(0, 1e10)
    texts = st.text(max_size=5)
    scores = st.none() | st.floats(allow_nan=False)
    value: st.SearchStrategy[HyperparameterValue] = st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
    stay = st.builds(Stay, texts, times, st.none() | times, st.sampled_from(Outcome))
    trials = st.builds(
        TrialRecord,
        trial_id=texts,
        status=st.sampled_from(TrialStatus),
        hyperparameters=st.dictionaries(texts, value, max_size=3),
        score=scores,
        best_step=st.none() | st.integers(0, 100),
        epochs=st.integers(0, 100),
        message=st.none() | texts,
        stays=st.lists(stay, max_size=3).map(tuple),
    )
    return st.builds(
        SearchRecord,
        name=texts,
        objective=texts,
        direction=st.sampled_from(Direction),
        trials=st.lists(trials, max_size=3).map(tuple),
        max_trials=st.none() | st.integers(1, 100),
        started=times,
        ended=st.none() | times,
        stop_reason=st.none() | texts,
        ran_out=st.none() | texts,
        notices=st.lists(texts, max_size=2).map(tuple),
    )
