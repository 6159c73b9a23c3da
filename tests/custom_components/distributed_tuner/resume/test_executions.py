"""A trial that is cut off and taken up again comes out to the bit as one that was left alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import pytest
import resumed_tuners
import tensorflow as tf
from resumed_tuners import BATCH, COLUMNS, ROWS, build, callbacks, data

from custom_components.distributed_tuner import training
from custom_components.distributed_tuner.answers import Directive
from custom_components.distributed_tuner.resume.pace import Pace

from .conftest import OBJECTIVE, TrialRunner

EPOCHS = 4


def random_search(root: str, model: Any = build, executions: int = 2, **fit: Any) -> tuple[kt.Tuner, dict[str, Any]]:
    tuner = kt.RandomSearch(
        model, OBJECTIVE, max_trials=1, executions_per_trial=executions, directory=root, project_name="project"
    )
    return tuner, {"epochs": EPOCHS, "verbose": 0, "validation_data": data(1), **fit}


def arrays(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
    x, y = data()
    return random_search(root, x=x, y=y, batch_size=BATCH, callbacks=callbacks())


def reshuffled_dataset(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
    rows = tf.data.Dataset.from_tensor_slices(data()).shuffle(ROWS, seed=1).batch(BATCH).prefetch(1)
    checked = tf.data.Dataset.from_tensor_slices(data(1)).shuffle(ROWS, seed=2).batch(40)
    return random_search(root, x=rows, validation_data=checked)


def endless_dataset(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
    rows = tf.data.Dataset.from_tensor_slices(data()).shuffle(ROWS, seed=1).repeat().batch(BATCH)
    return random_search(root, x=rows, steps_per_epoch=2)


def generator(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
    class Generated(kt.HyperModel):
        def build(self, hp: kt.HyperParameters) -> tf.keras.Model:
            return build(hp)

        def fit(self, hp: kt.HyperParameters, model: tf.keras.Model, *args: Any, **kwargs: Any) -> Any:
            def batches() -> Iterator[Any]:
                x, y = data()
                while True:
                    rows = np.random.permutation(ROWS)[:BATCH]
                    yield x[rows], y[rows]

            return model.fit(batches(), steps_per_epoch=2, **kwargs)

    return random_search(root, model=Generated())


def sequence(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
    class Rows(tf.keras.utils.Sequence):  # type: ignore[misc]
        def __init__(self) -> None:
            self.order = np.arange(ROWS)
            self.random = np.random.RandomState(7)

        def __len__(self) -> int:
            return ROWS // BATCH

        def __getitem__(self, index: int) -> Any:
            rows = self.order[index * BATCH : (index + 1) * BATCH]
            x, y = data()
            return x[rows], y[rows]

        def on_epoch_end(self) -> None:
            self.random.shuffle(self.order)

    return random_search(root, executions=1, x=Rows())


def subclassed(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
    """A model that builds itself with its first batch, a schedule of learning rates, a legacy optimizer."""

    class Model(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = tf.keras.layers.Dense(4, activation="tanh")
            self.outer = tf.keras.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.outer(self.inner(inputs))

    def model(hp: kt.HyperParameters) -> tf.keras.Model:
        made = Model()
        rate = tf.keras.optimizers.schedules.ExponentialDecay(0.05, 4, 0.5)
        made.compile(tf.keras.optimizers.legacy.Adam(rate), loss="mse")
        return made

    x, y = data()
    return random_search(root, model=model, x=x, y=y)


def two_fits(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
    """Trains, then goes on with a smaller rate."""

    class Twice(kt.HyperModel):
        def build(self, hp: kt.HyperParameters) -> tf.keras.Model:
            return build(hp)

        def fit(self, hp: kt.HyperParameters, model: tf.keras.Model, *args: Any, **kwargs: Any) -> Any:
            first = model.fit(*args, **{**kwargs, "epochs": 2})
            model.optimizer.learning_rate.assign(0.001)
            second = model.fit(*args, **{**kwargs, "initial_epoch": 2})
            assert [*first.epoch, *second.epoch] == list(range(EPOCHS))
            return second

    x, y = data()
    return random_search(root, model=Twice(), x=x, y=y)


@pytest.mark.parametrize(
    "make",
    [arrays, reshuffled_dataset, endless_dataset, generator, sequence, subclassed, two_fits],
    ids=lambda make: make.__name__,
)
def test_a_cut_off_trial_comes_out_as_one_left_alone(tmp_path: Path, make: Any) -> None:
    whole = TrialRunner(tmp_path / "whole", make).run()
    cut = TrialRunner(tmp_path / "cut", make)
    cut.die(at=3)  # in the first execution
    if len(whole.histories) > 1:
        cut.die(at=4)  # two epochs to go in the first execution, then in the second
    end = cut.run()
    end.assert_same(whole)
    assert end.trained < whole.trained


def test_every_epoch_may_be_the_last_of_a_worker(tmp_path: Path) -> None:
    whole = TrialRunner(tmp_path / "whole", arrays).run()
    cut = TrialRunner(tmp_path / "cut", arrays)
    for _ in range(whole.trained - 1):
        cut.die(at=2)
    end = cut.run()
    end.assert_same(whole)
    assert end.trained == 1


def test_early_stopping_is_remembered(tmp_path: Path) -> None:
    def make(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
        x, y = data()
        stop = tf.keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0, restore_best_weights=True)
        return random_search(root, x=x, y=y, callbacks=[stop], epochs=50, executions=1)

    whole = TrialRunner(tmp_path / "whole", make).run()
    assert len(whole.histories[0]["loss"]) == 2
    cut = TrialRunner(tmp_path / "cut", make)
    cut.die(at=2)
    cut.run().assert_same(whole)


def test_a_stopped_training_does_not_go_on(tmp_path: Path) -> None:
    def make(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
        class Fit(kt.HyperModel):
            def build(self, hp: kt.HyperParameters) -> tf.keras.Model:
                return build(hp)

            def fit(self, hp: kt.HyperParameters, model: tf.keras.Model, *args: Any, **kwargs: Any) -> Any:
                result = model.fit(*args, **kwargs)
                model.fit(*args, **{**kwargs, "epochs": 1})  # where the worker is lost
                return result

        x, y = data()
        stop = tf.keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0)
        return random_search(root, model=Fit(), x=x, y=y, callbacks=[stop], epochs=50, executions=1)

    whole = TrialRunner(tmp_path / "whole", make).run()
    cut = TrialRunner(tmp_path / "cut", make)
    cut.die(at=3)
    end = cut.run()
    end.assert_same(whole)
    assert end.trained == 1


def test_executions_do_not_depend_on_what_the_worker_did_before(tmp_path: Path) -> None:
    tuner, kwargs = reshuffled_dataset(str(tmp_path / "first"))
    shared = kwargs["x"]
    first = TrialRunner(tmp_path / "first", lambda root: (tuner, dict(kwargs))).run()
    second = TrialRunner(tmp_path / "second", lambda root: random_search(root, **kwargs)).run()
    assert shared is kwargs["x"]
    second.assert_same(first)
    assert first.histories[0] != first.histories[1]


def test_the_users_seed_makes_another_search(tmp_path: Path) -> None:
    def seeded(seed: int) -> Any:
        def make(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
            tf.random.set_seed(seed)
            return arrays(root)

        return make

    first = TrialRunner(tmp_path / "1", seeded(1)).run()
    TrialRunner(tmp_path / "2", seeded(1)).run().assert_same(first)
    assert TrialRunner(tmp_path / "3", seeded(2)).run().histories != first.histories


def test_a_seed_in_the_model_building_code_holds(tmp_path: Path) -> None:
    def model(hp: kt.HyperParameters) -> tf.keras.Model:
        tf.keras.utils.set_random_seed(11)
        return build(hp)

    x, y = data()
    end = TrialRunner(tmp_path, lambda root: random_search(root, model=model, x=x, y=y)).run()
    assert end.histories[0] == end.histories[1]


def test_a_new_attempt_begins_afresh_with_other_numbers(tmp_path: Path) -> None:
    runner = TrialRunner(tmp_path, arrays)
    first = runner.run()
    runner.die(at=3, attempt=1)
    assert [entry.name for entry in runner.folder.iterdir()] == ["attempt_1"]
    again = runner.run(attempt=2)
    assert again.trained == first.trained and again.histories != first.histories


def test_hyperparameters_of_the_model_building_code_are_kept(tmp_path: Path) -> None:
    def make(root: str) -> tuple[kt.Tuner, dict[str, Any]]:
        tuner, kwargs = arrays(root)
        tuner.oracle.hyperparameters = kt.HyperParameters()
        return tuner, kwargs

    runner = TrialRunner(tmp_path, make)
    first = runner.run()
    end = runner.run()
    assert end.trained == 0
    end.assert_same(first)
    assert set(end.hyperparameters["values"]) == {"units", "width"}


@pytest.mark.parametrize("spoil", ["truncated", "not json", "no checkpoint", "bits", "another model", "another format"])
def test_a_spoilt_state_restarts_the_execution_with_a_warning(
    tmp_path: Path, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = TrialRunner(tmp_path / "whole", arrays).run()
    cut = TrialRunner(tmp_path / "cut", arrays)
    cut.die(at=3)
    folder = cut.folder / "attempt_0" / "execution_0" / "fit_0"
    record = folder / "record.json"
    (checkpoint,) = folder.glob("*.data-*")
    if spoil == "truncated":
        record.write_bytes(record.read_bytes()[:-40])
    elif spoil == "not json":
        record.write_bytes(b"\xff\x00")
    elif spoil == "no checkpoint":
        checkpoint.unlink()
    elif spoil == "bits":
        content = bytearray(checkpoint.read_bytes())
        content[len(content) // 2] ^= 255
        checkpoint.write_bytes(content)
    elif spoil == "another model":
        record.write_text(record.read_text().replace("Adam", "SGD"))
    else:
        record.write_text(json.dumps({**json.loads(record.read_text()), "format": 99}))
    with caplog.at_level(logging.WARNING):
        end = cut.run()
    assert "begins again at its first epoch" in caplog.text
    end.assert_same(whole)
    assert end.trained == whole.trained


def test_a_spoilt_result_runs_its_execution_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runner = TrialRunner(tmp_path, arrays)
    whole = runner.run()
    (runner.folder / "attempt_0" / "execution_1" / "record.json").write_text("{")
    end = runner.run()
    assert "it runs again" in caplog.text
    end.assert_same(whole)
    assert end.trained == len(whole.epochs[1])


def test_a_folder_that_cannot_be_written_does_not_fail_the_trial(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = TrialRunner(tmp_path, arrays)
    runner.folder.parent.mkdir(parents=True)
    runner.folder.write_text("a file where the folder should be")
    end = runner.run()
    assert "could not be saved" in caplog.text
    assert len(end.histories) == 2


def test_only_the_last_state_is_on_disk(tmp_path: Path) -> None:
    runner = TrialRunner(tmp_path, arrays)
    runner.die(at=4)
    folder = runner.folder / "attempt_0" / "execution_0" / "fit_0"
    (folder / "1234abcd-7_temp").mkdir()
    (folder / "1234abcd-7_temp" / "part-0").write_text("left by a kill in the middle of a checkpoint")
    runner.die(at=2)
    kinds = sorted(entry.name.partition(".")[2].partition("-")[0] for entry in folder.iterdir())
    assert kinds in (["data", "index", "json"], ["data", "index", "json", "npz"])


def test_short_epochs_are_not_saved_one_by_one(tmp_path: Path) -> None:
    runner = TrialRunner(tmp_path, arrays, Pace(share=1e-6, unsaved_seconds=3600.0))
    runner.die(at=4)
    value = (runner.folder / "attempt_0" / "execution_0" / "fit_0" / "record.json").read_text()
    assert '[\\"epoch\\",0]' in value


def test_the_chief_ends_a_training(tmp_path: Path) -> None:
    end = TrialRunner(tmp_path / "finish", arrays).run(directive=Directive.FINISH)
    assert end.epochs == [[0], [0]]
    runner = TrialRunner(tmp_path / "abandon", arrays)
    with pytest.raises(training.TrialAbandoned, match="the test wants it"):
        runner.run(directive=Directive.ABANDON)
    assert not (runner.folder / "attempt_0").exists(), "the folder is somebody else's by now"


def test_executions_without_fit_are_kept_too(tmp_path: Path) -> None:
    calls: list[int] = []

    class Direct(kt.HyperModel):
        def build(self, hp: kt.HyperParameters) -> tf.keras.Model:
            return build(hp)

        def fit(self, hp: kt.HyperParameters, model: tf.keras.Model, *args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return {"val_loss": np.float32(len(calls)) / 3}

    from custom_components.distributed_tuner.remote_oracle import CurrentTrial
    from custom_components.distributed_tuner.resume.executions import Executions

    def run() -> Any:
        current = CurrentTrial()
        current.begin("0", 0)
        tuner, kwargs = random_search(str(tmp_path), model=Direct())
        with Executions(current).kept(tuner):
            return tuner.run_trial(kt.engine.trial.Trial(tuner.oracle.get_space(), trial_id="0"), **kwargs)

    with pytest.raises(KeyboardInterrupt):
        run()
    results = run()
    assert len(calls) == 3
    assert results == [{"val_loss": np.float32(1) / 3}, {"val_loss": np.float32(3) / 3}]
    assert all(type(result["val_loss"]) is np.float32 for result in results)


def test_columns(tmp_path: Path) -> None:
    assert data()[0].shape == (ROWS, COLUMNS) and resumed_tuners.OBJECTIVE.name == OBJECTIVE.name
