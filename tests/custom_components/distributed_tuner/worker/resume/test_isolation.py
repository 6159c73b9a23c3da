"""A trial depends neither on what its worker ran before, nor on how many workers there are, nor on who is killed."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest
import tensorflow as tf
from resumed_tuners import BATCH, COLUMNS, data
from tensorflow import keras

from custom_components.distributed_tuner.record.record import Outcome, SearchRecord
from custom_components.distributed_tuner.search import run as search
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from custom_components.distributed_tuner.worker.resume.global_state import GlobalState

from .conftest import OBJECTIVE, TrialRunner

EPOCHS = 2


@pytest.mark.timeout(400)
def test_scores_are_the_same_with_one_worker_with_two_and_with_killed_ones(
    make_search: Callable[..., Any], tmp_path: Path
) -> None:
    def run(name: str, workers: int, seconds: float, watch: Any = None) -> SearchRecord:
        running = make_search("untidy")
        running.directory = SearchDir(tmp_path / name)
        running.directory.create()
        config = json.dumps({"seconds": seconds})
        properties = {"tuner_fn": "resumed_tuners.untidy", "custom_config": config}
        running.spec = dataclasses.replace(running.spec, exec_properties=properties)
        running.cluster = type(running.cluster)(running.directory, running.token, server=running.server)
        found: search.Found = running.run(workers, watch)
        assert not found.record.failed()
        return found.record

    killed: set[int] = set()

    def kill(running: Any, record: SearchRecord) -> None:
        """Kills the worker in its third epoch, so in the second execution of a trial, twice."""
        log, pid = tmp_path / "killed" / "epochs.log", running.cluster.pid("worker-0")
        begun = [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []
        if pid and pid not in killed and len(killed) < 2 and begun.count(str(pid)) >= 3 + len(killed) * 4:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)

    one, two, cut = run("one", 1, 0.0), run("two", 2, 0.0), run("killed", 1, 0.25, kill)
    assert len(one.trials) == 8 and len({trial.score for trial in one.trials}) == 8

    def scores(record: SearchRecord) -> dict[Any, float | None]:
        return {trial.configuration: trial.score for trial in record.trials}

    assert {trial.stays[-1].worker for trial in two.trials} == {"worker-0", "worker-1"}
    assert scores(two) == scores(one)
    outcomes = [stay.outcome for trial in cut.trials for stay in trial.stays]
    assert outcomes.count(Outcome.LOST) == len(killed) == 2
    assert scores(cut) == scores(one)


def dense(**settings: Any) -> keras.layers.Layer:
    return keras.layers.Dense(1, **settings)


Made = tuple[kt.Tuner, dict[str, Any]]


def trial_of(build: Callable[[], keras.Model], root: str) -> Made:
    where = {"directory": root, "project_name": "project"}
    tuner = kt.RandomSearch(lambda hp: build(), OBJECTIVE, max_trials=1, executions_per_trial=2, **where)
    x, y = data()
    fit = {"x": x, "y": y, "validation_data": data(1), "batch_size": BATCH, "epochs": EPOCHS, "verbose": 0}
    return tuner, fit


def test_an_execution_leaves_nothing_to_the_one_after_it(tmp_path: Path) -> None:
    def make(root: str) -> Made:
        def build() -> keras.Model:
            model = keras.Sequential([keras.Input((COLUMNS,)), keras.layers.Dropout(0.2), dense()])
            model.compile("sgd", loss="mse")
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
            return model

        made = trial_of(build, root)
        keras.mixed_precision.set_global_policy("float32")  # a worker's tuner has built no model yet
        return made

    state = GlobalState()
    try:
        whole = TrialRunner(tmp_path / "whole", make).run()
        assert keras.mixed_precision.global_policy().name == "float32"
        cut = TrialRunner(tmp_path / "cut", make)
        cut.die(at=EPOCHS + 1)
        end = cut.run()
    finally:
        state.put_back()
    end.assert_same(whole)
    assert end.trained == EPOCHS


def test_random_numbers_after_the_executions_do_not_tell_which_of_them_ran_before(tmp_path: Path) -> None:
    drawn: list[float] = []

    class Drawing(kt.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
            result = super().run_trial(trial, *args, **kwargs)
            drawn.append(float(tf.random.uniform(())))
            return result

    def build(hp: kt.HyperParameters) -> keras.Model:
        model = keras.Sequential([keras.Input((COLUMNS,)), dense()])
        model.compile("sgd", loss="mse")
        return model

    def make(root: str) -> Made:
        _, fit = trial_of(lambda: build(kt.HyperParameters()), root)
        return Drawing(build, OBJECTIVE, max_trials=1, directory=root, project_name="project"), fit

    runner = TrialRunner(tmp_path, make)
    runner.run()
    assert runner.run().trained == 0
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nothing", None),
        ("a layer", "shared (Dense). "),
        ("a layer within another one", "shared (Dense). "),
        ("a frozen layer", None),
        ("a normalization without weights of its own", "shared (BatchNormalization). "),
        ("dropout", None),
        ("an adapted layer", None),
        ("an optimizer", "the optimizer SGD. "),
        ("the whole model", "shared (Dense), the optimizer SGD. "),
    ],
)
def test_what_executions_train_together_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str, words: str | None
) -> None:
    def make(root: str) -> Made:
        layer: keras.layers.Layer = dense(name="shared", trainable=what != "a frozen layer")
        if what == "dropout":
            layer = keras.layers.Dropout(0.2)
        elif what == "a normalization without weights of its own":
            layer = keras.layers.BatchNormalization(name="shared", scale=False, center=False)
        elif what == "an adapted layer":
            layer = keras.layers.Normalization()
            layer.adapt(data()[0])
        optimizer = keras.optimizers.legacy.SGD()

        def fresh() -> keras.Model:
            inner = keras.layers.Dense(2) if what in ("nothing", "an optimizer") else layer
            if what == "a layer within another one":
                inner = keras.Sequential([layer])
            model = keras.Sequential([keras.Input((COLUMNS,)), inner, dense(name="own")])
            model.compile(optimizer if what == "an optimizer" else "sgd", loss="mse")
            return model

        def whole() -> keras.Model:
            layer.trainable = True
            return model

        if what == "the whole model":
            model = keras.Sequential([keras.Input((COLUMNS,)), layer])
            model.compile(optimizer, loss="mse")
            return trial_of(whole, root)
        return trial_of(fresh, root)

    caplog.set_level(logging.WARNING)
    runner = TrialRunner(tmp_path, make)
    runner.run()
    told = [message for message in caplog.messages if "trained by more than one execution" in message]
    if words is None:
        assert not told
    else:
        (message,) = told
        assert message.startswith(f"trained by more than one execution: {words}What is made once, in tuner_fn say")
