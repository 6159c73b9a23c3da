"""A made-up search, simulated from a seed: what the pictures in the documentation and the tests are drawn from."""

from __future__ import annotations

import heapq
import math
import random

from custom_components.distributed_tuner.record.record import (
    Direction,
    HyperparameterValue,
    Outcome,
    SearchRecord,
    Stay,
    TrialRecord,
    TrialStatus,
)

STARTED = 1_735_732_800.0  # 2025-01-01 12:00:00 UTC

_TRACEBACK = """Traceback (most recent call last):
  File "worker.py", line 88, in run_trial
    results = tuner.run_trial(trial, **fit_arguments)
  File "model.py", line 41, in build_model
    raise ValueError(f"hidden_size {size} leaves no unit for the last of {layers} layers")
ValueError: hidden_size 16 leaves no unit for the last of 5 layers
"""


def example_record(trials: int = 40, workers: int = 4, seed: int = 199, ended: bool = True) -> SearchRecord:
    """Simulates a search of `trials` trials on `workers` workers, some of them lost or preempted.

    With `ended` False the search is seen at two thirds of its time, with trials running and waiting.
    """
    rng = random.Random(seed)
    free = [(STARTED + rng.uniform(2, 6), f"worker-{index}") for index in range(workers)]
    heapq.heapify(free)
    finished = [_run(f"{index:04}", rng, free) for index in range(trials)]
    end = max((trial.ended or STARTED for trial in finished), default=STARTED)
    if not ended:
        cut = STARTED + (end - STARTED) * 2 / 3
        finished = [_seen_at(trial, cut) for trial in finished if trial.stays[0].started < cut]
    return SearchRecord(
        name="bikes",
        objective="val_mean_absolute_error",
        direction=Direction.MIN,
        trials=tuple(finished),
        max_trials=trials,
        started=STARTED,
        ended=end if ended else None,
        stop_reason="max_trials reached" if ended else None,
    )


def example_now(record: SearchRecord) -> float:
    """A moment at which `record` may have been taken: its end, or the last thing that happened in it."""
    moments = [moment for trial in record.trials for stay in trial.stays for moment in (stay.started, stay.ended)]
    return record.ended or max((moment for moment in moments if moment is not None), default=record.started)


def _run(trial_id: str, rng: random.Random, free: list[tuple[float, str]]) -> TrialRecord:
    space: dict[str, HyperparameterValue] = {
        "hidden_layers": rng.randint(2, 5),
        "hidden_size": rng.randrange(16, 257, 32),
        "learning_rate": rng.choice([0.5, 0.1, 0.01, 0.001, 0.0001]),
        "optimizer": rng.choice(["adam", "adam", "sgd"]),
    }
    if space["optimizer"] == "sgd":
        space["momentum"] = round(rng.uniform(0.0, 0.99), 4)
    length = rng.uniform(14, 26) * (1 + int(space["hidden_layers"]) / 10)
    fails = space["hidden_size"] == 16 and space["hidden_layers"] == 5
    stays: list[Stay] = []
    while True:
        since, worker = heapq.heappop(free)
        since = max(since, stays[-1].ended or since) if stays else since
        fate = rng.random()
        if fails:
            outcome, lasts, pause = Outcome.FAILED, 1.5, 0.3
        elif fate < 0.03:
            outcome, lasts, pause = Outcome.LOST, length * rng.uniform(0.2, 0.9), 12.0
        elif fate < 0.06:
            outcome, lasts, pause = Outcome.RELEASED, length * rng.uniform(0.2, 0.9), 8.0
        else:
            outcome, lasts, pause = Outcome.COMPLETED, length, 0.3
        stays.append(Stay(worker, since, since + lasts, outcome))
        heapq.heappush(free, (since + lasts + pause, worker))
        length = max(2.0, length - lasts)
        if outcome is Outcome.FAILED:
            return TrialRecord(trial_id, TrialStatus.FAILED, space, message=_TRACEBACK, stays=tuple(stays))
        if outcome is Outcome.COMPLETED:
            score = _score(space, rng)
            return TrialRecord(trial_id, TrialStatus.COMPLETED, space, score, 11, 12, stays=tuple(stays))


def _score(space: dict[str, HyperparameterValue], rng: random.Random) -> float:
    rate = math.log10(float(space["learning_rate"])) + (1.0 if space["optimizer"] == "sgd" else 0.0)
    loss = 392 + 26 * (rate + 2.6) ** 2 + 2.2 * abs(float(space["hidden_size"]) - 144) ** 0.5
    loss += 6 * abs(float(space["hidden_layers"]) - 3) + rng.gauss(0, 6)
    return loss * (30 if rate > -0.4 and rng.random() < 0.5 else 1)


def _seen_at(trial: TrialRecord, cut: float) -> TrialRecord:
    begun = [stay for stay in trial.stays if stay.started < cut]
    *before, last = begun
    if last.ended is not None and last.ended > cut:
        stays = (*before, Stay(last.worker, last.started, None, Outcome.RUNNING))
        return TrialRecord(trial.trial_id, TrialStatus.RUNNING, trial.hyperparameters, epochs=5, stays=stays)
    if len(begun) < len(trial.stays):
        return TrialRecord(trial.trial_id, TrialStatus.WAITING, trial.hyperparameters, epochs=5, stays=tuple(begun))
    return trial
