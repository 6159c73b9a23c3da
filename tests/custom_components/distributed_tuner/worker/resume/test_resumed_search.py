"""Whole searches whose workers are killed and told to go, against the same search left alone."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialRecord
from custom_components.distributed_tuner.search import run
from custom_components.distributed_tuner.storage.search_dir import SearchDir

EPOCH_SECONDS = 0.25
# What may be lost with a worker: epochs that ended less than a second ago, and the one that was under way.
LOST_EPOCHS = int(1.0 / EPOCH_SECONDS) + 1
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)


def made(
    make_search: Callable[..., Any],
    root: Path,
    algorithm: str,
    seconds: float,
    options: SearchOptions | None = None,
    **more: Any,
) -> Any:
    running = make_search("tuner", None, options)
    running.directory = SearchDir(root)
    running.directory.create()
    config = json.dumps({"algorithm": algorithm, "max_trials": 1, "seconds": seconds, **more})
    properties = {"tuner_fn": "resumed_tuners.tuner", "custom_config": config}
    running.spec = dataclasses.replace(running.spec, exec_properties=properties)
    running.cluster = type(running.cluster)(running.directory, running.token, server=running.server)
    return running


def epochs(root: Path) -> list[str]:
    """A line for each epoch that any worker began."""
    log = root / "epochs.log"
    return log.read_text().splitlines() if log.exists() else []


def weights(root: Path, trial: TrialRecord) -> dict[str, Any]:
    reader = tf.train.load_checkpoint(str(root / "project" / f"trial_{trial.trial_id}" / "checkpoint"))
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith("_CHECK")]
    return {name: reader.get_tensor(name) for name in names}


def assert_same(root: Path, found: run.Found, alone_root: Path, alone: run.Found) -> None:
    """The same trials to the bit, down to their best weights."""
    assert [trial.trial_id for trial in found.record.trials] == [trial.trial_id for trial in alone.record.trials]
    for trial, undisturbed in zip(found.record.trials, alone.record.trials, strict=True):
        for field in ("status", "hyperparameters", "score", "best_step", "epochs"):
            assert getattr(trial, field) == getattr(undisturbed, field), (trial.trial_id, field)
        expected = weights(alone_root, undisturbed)
        for name, value in weights(root, trial).items():
            np.testing.assert_array_equal(value, expected.pop(name), err_msg=f"{trial.trial_id} {name}")
        assert not expected


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("algorithm", "signals"), [("random", SIGNALS[:2]), ("hyperband", SIGNALS), ("words", SIGNALS[:1])]
)
def test_lost_workers_leave_no_trace_in_the_results(
    make_search: Callable[..., Any], tmp_path: Path, algorithm: str, signals: tuple[signal.Signals, ...]
) -> None:
    alone: run.Found = made(make_search, tmp_path / "alone", algorithm, 0.0).run(workers=1)
    root = tmp_path / "disturbed"
    disturbed = made(make_search, root, algorithm, EPOCH_SECONDS)
    hits: list[int] = []  # how many epochs had begun by then

    def hit(running: Any, record: SearchRecord) -> None:
        begun, pid = epochs(root), running.cluster.pid("worker-0")
        fresh = begun[hits[-1] if hits else 0 :]
        if pid and len(hits) < len(signals) and sum(line.split()[0] == str(pid) for line in fresh) >= 3:
            os.kill(pid, signals[len(hits)])
            hits.append(len(begun))

    found: run.Found = disturbed.run(workers=1, watch=hit)
    assert len(hits) == len(signals)
    assert_same(root, found, tmp_path / "alone", alone)
    assert not list((root / "project").glob("trial_*/resume"))
    outcomes = [stay.outcome for trial in found.record.trials for stay in trial.stays]
    assert outcomes.count(Outcome.LOST) == signals.count(signal.SIGKILL)
    assert outcomes.count(Outcome.RELEASED) == signals.count(signal.SIGTERM)
    again = len(epochs(root)) - len(epochs(tmp_path / "alone"))
    # Who is told to go saves all that it has finished.
    assert 0 <= again <= signals.count(signal.SIGKILL) * LOST_EPOCHS + signals.count(signal.SIGTERM)


@pytest.mark.timeout(300)
def test_a_trial_of_a_conditional_space_goes_on_in_its_second_execution(
    make_search: Callable[..., Any], tmp_path: Path
) -> None:
    alone: run.Found = made(make_search, tmp_path / "alone", "conditional", 0.0).run(workers=1)
    (trial,) = alone.record.trials
    assert trial.hyperparameters["deep_units"] in (3, 5), "the condition holds"
    root = tmp_path / "disturbed"
    hits: list[str] = []

    def hit(running: Any, record: SearchRecord) -> None:
        begun = epochs(root)
        if not hits and len(begun) > trial.epochs // 2 + 1 and (pid := running.cluster.pid("worker-0")):
            os.kill(pid, signal.SIGTERM)
            hits.append(begun[-1].split()[1])

    found: run.Found = made(make_search, root, "conditional", EPOCH_SECONDS).run(workers=1, watch=hit)
    assert len(hits) == 1
    assert_same(root, found, tmp_path / "alone", alone)
    assert [stay.outcome for stay in found.record.trials[0].stays] == [Outcome.RELEASED, Outcome.COMPLETED]


@pytest.mark.timeout(300)
def test_a_worker_that_comes_back_late_does_no_harm(make_search: Callable[..., Any], tmp_path: Path) -> None:
    alone: run.Found = made(make_search, tmp_path / "alone", "random", 0.0).run(workers=1)
    root = tmp_path / "disturbed"
    disturbed = made(make_search, root, "random", EPOCH_SECONDS)
    stopped: list[int] = []
    woken: list[int] = []

    def hang(running: Any, record: SearchRecord) -> None:
        pids = [int(line.split()[0]) for line in epochs(root)]
        if not stopped and len(pids) >= 3:
            stopped.append(pids[0])
            os.kill(pids[0], signal.SIGSTOP)
        elif stopped and not woken and len(set(pids)) == 2:
            woken.append(pids[0])
            os.kill(pids[0], signal.SIGCONT)

    found: run.Found = disturbed.run(workers=2, watch=hang)
    assert woken == stopped != []
    assert_same(root, found, tmp_path / "alone", alone)
    assert found.record.trials[0].stays[0].outcome is Outcome.LOST


@pytest.mark.timeout(300)
def test_a_trial_that_the_chief_ends_leaves_no_saved_state_on_the_disk(
    make_search: Callable[..., Any], tmp_path: Path
) -> None:
    root = tmp_path / "hanging"
    options = SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, max_epoch_seconds=10.0, grace_seconds=1.0)
    saved: set[str] = set()

    def look(running: Any, record: SearchRecord) -> None:
        saved.update(path.parent.name for path in (root / "project").glob("trial_*/resume/*-attempt_0"))

    found: run.Found = made(make_search, root, "random", EPOCH_SECONDS, options, hang=True).run(1, watch=look)
    (stuck,) = found.record.failed()
    assert stuck.message is not None and "max_epoch_seconds" in stuck.message
    assert stuck.epochs == 2 and saved == {"resume"}
    assert not list((root / "project").glob("trial_*/resume"))
