"""A trial that finds nothing to read, since another one has read it, says so and what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from custom_components.distributed_tuner.record.record import TrialStatus
from custom_components.distributed_tuner.worker import best_epoch, one_time_input

X, Y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")


@pytest.mark.timeout(180)
def test_the_second_trial_of_a_search_tells_that_the_first_one_has_used_its_input_up(
    make_search: Callable[..., Any],
) -> None:
    made = make_search("used_up", {"max_trials": 2})
    found = made.run(workers=1)
    assert found.record.count(TrialStatus.COMPLETED) == 1
    (failed,) = found.record.failed()
    assert failed.cause.startswith(
        "InputUsedUp: x (generator) has nothing left: it can be read once only, and was, by an earlier trial or "
        "execution of this worker. Give the search a tf.data.Dataset, a keras.utils.Sequence or arrays, or make "
        "the generator in HyperModel.fit"
    )
    assert failed.message is not None and "StopIteration" in failed.message
    assert "x (generator) can be read once only: each trial goes on" in made.directory.log("worker-0").read_text()


def batches(count: int) -> Iterator[Any]:
    for _ in range(count):
        yield X, Y


def dataset(count: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors((X, Y)).repeat(count)


class Rows(keras.utils.Sequence):
    """Can be asked for the next item too, as the iterators of Keras' image generators can."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return X, Y

    def __next__(self) -> Any:
        return self[0]


ARRAYS = {"x": X, "y": Y, "validation_data": (X, Y)}


def run(root: Path, executions: int = 1, **fit: Any) -> list[kt.engine.trial.Trial]:
    """The trials of keras-tuner alone, with what is said of their input."""

    def build(hp: kt.HyperParameters) -> keras.Model:
        model = keras.Sequential([keras.layers.Dense(hp.Int("units", 1, 9), input_shape=(3,)), keras.layers.Dense(1)])
        model.compile("sgd", loss="mse")
        return model

    where = {"directory": str(root), "project_name": "project", "executions_per_trial": executions}
    tuner = kt.RandomSearch(build, kt.Objective("loss", "min"), max_trials=2, seed=1, **where)
    if "validation_data" in fit:
        tuner.oracle.objective = kt.Objective("val_loss", "min")
    with best_epoch.chosen(), one_time_input.told(tuner):
        tuner.search(**{"verbose": 0, "epochs": 1, **fit})
    return list(tuner.oracle.trials.values())


@pytest.mark.parametrize(
    ("fit", "first", "name"),
    [
        ({"x": batches(4), "epochs": 2, "steps_per_epoch": 2}, "COMPLETED", "x (generator)"),
        ({"x": iter(dataset(1))}, "COMPLETED", "x (OwnedIterator)"),
        ({"x": zip([X], [Y], strict=True)}, "COMPLETED", "x (zip)"),
        ({**ARRAYS, "validation_data": batches(1)}, "COMPLETED", "validation_data (generator)"),
        # Too short even for the first trial, whose second epoch has no objective.
        (
            {**ARRAYS, "validation_data": batches(1), "validation_steps": 1, "epochs": 2},
            "FAILED",
            "validation_data (gen",
        ),
    ],
    ids=["generator", "tf.data", "zip", "validation", "short validation"],
)
def test_input_that_is_used_up_is_named(tmp_path: Path, fit: dict[str, Any], first: str, name: str) -> None:
    trials = run(tmp_path, **fit)
    assert [trial.status for trial in trials] == [first, "FAILED"]
    for trial in trials:
        if trial.status == "FAILED":
            assert f"InputUsedUp: {name}" in trial.message


def test_the_second_execution_of_a_trial_tells_it_too(tmp_path: Path) -> None:
    trials = run(tmp_path, executions=2, x=batches(1))
    assert all("InputUsedUp: x (generator)" in trial.message for trial in trials)


@pytest.mark.parametrize("x", [dataset(1), Rows()], ids=["tf.data", "Sequence"])
def test_input_that_begins_again_is_nothing_to_tell_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, x: Any
) -> None:
    caplog.set_level(logging.WARNING, one_time_input.__name__)
    assert [trial.status for trial in run(tmp_path, x=x)] == ["COMPLETED", "COMPLETED"]
    assert "read once only" not in caplog.text


def test_an_endless_generator_is_told_of_once_and_blamed_for_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, one_time_input.__name__)

    class Failing(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise StopIteration

    trials = run(tmp_path, x=batches(1_000_000), steps_per_epoch=1, callbacks=[Failing()])
    assert all("StopIteration" in trial.message and "InputUsedUp" not in trial.message for trial in trials)
    assert [message.partition(":")[0] for message in caplog.messages if "once only" in message] == [
        "x (generator) can be read once only"
    ]
