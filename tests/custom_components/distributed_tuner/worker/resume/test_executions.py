"""A trial that is cut off and taken up again comes out to the bit as one that was left alone."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf
from resumed_tuners import BATCH, COLUMNS, ROWS, build, build_conditional, build_small, callbacks, data

from custom_components.distributed_tuner.study.answers import Directive
from custom_components.distributed_tuner.worker import training
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial
from custom_components.distributed_tuner.worker.resume.executions import Executions
from custom_components.distributed_tuner.worker.resume.pace import Pace

from .conftest import EVERY_EPOCH, OBJECTIVE, DieAt, Outcome, TrialRunner, WorkerDied

EPOCHS = 4

Made = tuple[kt.Tuner, dict[str, Any]]


def search(root: str, model: Any = build_small, executions: int = 1, **fit: Any) -> Made:
    tuner = kt.RandomSearch(
        model, OBJECTIVE, max_trials=1, executions_per_trial=executions, directory=root, project_name="project"
    )
    return tuner, {"epochs": EPOCHS, "verbose": 0, "validation_data": data(1), **fit}


def arrays(root: str, **others: Any) -> Made:
    x, y = data()
    return search(root, **{"x": x, "y": y, "batch_size": BATCH, **others})


def everything(root: str) -> Made:
    """Two executions, batch normalization, slots, noise, early stopping, a rate that falls."""
    return arrays(root, model=build, executions=2, callbacks=callbacks())


def conditional(root: str) -> Made:
    """Two executions; a hyperparameter of the model has a condition."""
    return arrays(root, model=build_conditional, executions=2)


def brief(root: str) -> Made:
    """As short as a trial can be."""
    return arrays(root, epochs=1)


def brief_twice(root: str) -> Made:
    """Two executions of an epoch each."""
    return arrays(root, epochs=1, executions=2)


def reshuffled_dataset(root: str) -> Made:
    rows = tf.data.Dataset.from_tensor_slices(data()).shuffle(ROWS, seed=1).batch(BATCH).prefetch(1)
    # Other rows in each validation, so that the score tells their order.
    checked = tf.data.Dataset.from_tensor_slices(data(1)).shuffle(ROWS, seed=2).take(40).batch(32)
    return search(root, executions=2, x=rows, validation_data=checked)


def endless_dataset(root: str) -> Made:
    rows = tf.data.Dataset.from_tensor_slices(data()).shuffle(ROWS, seed=1).repeat().batch(BATCH)
    checked = tf.data.Dataset.from_tensor_slices(data(1)).shuffle(ROWS, seed=2).batch(32)
    return search(root, x=rows, steps_per_epoch=2, validation_data=checked, validation_steps=1)


def unknown_length(root: str) -> Made:
    """An optimizer that counts the steps, and an input whose length Keras finds out by a step beyond it."""
    rows = tf.data.Dataset.from_tensor_slices(data()).filter(lambda x, y: True).shuffle(ROWS, seed=1).batch(BATCH)
    assert rows.cardinality() == tf.data.UNKNOWN_CARDINALITY
    return search(root, model=build, x=rows, validation_data=rows, executions=2)


def derived_dataset(root: str) -> Made:
    """Each execution trains on data sets of its own, made from a shuffle that all of them share."""

    def fit(model: tf.keras.Model, x: tf.data.Dataset, **kwargs: Any) -> Any:
        own = x.batch(BATCH)
        return model.fit(own, **{**kwargs, "validation_data": own.take(1)})

    rows = tf.data.Dataset.from_tensor_slices(data()).shuffle(ROWS, seed=1)
    return search(root, model=WithFit(fit), executions=2, x=rows)


def stateful(root: str) -> Made:
    """A recurrent layer whose state goes on from batch to batch, and from epoch to epoch."""

    def model(hp: kt.HyperParameters) -> tf.keras.Model:
        layers = tf.keras.layers
        reshape = layers.Reshape((COLUMNS, 1), batch_input_shape=(BATCH, COLUMNS))
        rnn = layers.Bidirectional(layers.SimpleRNN(hp.Int("units", 2, 3), stateful=True))
        made = tf.keras.Sequential([reshape, rnn, layers.Dense(1)])
        made.compile("sgd", loss="mse")
        return made

    return arrays(root, model=model, shuffle=False)


class WithFit(kt.HyperModel):
    """`build_small` with a `fit` of the test's own."""

    def __init__(self, fit: Any) -> None:
        super().__init__()
        self._fit = fit

    def build(self, hp: kt.HyperParameters) -> tf.keras.Model:
        return build_small(hp)

    def fit(self, hp: kt.HyperParameters, model: tf.keras.Model, *args: Any, **kwargs: Any) -> Any:
        return self._fit(model, *args, **kwargs)


def generator(root: str) -> Made:
    def batches() -> Iterator[Any]:
        x, y = data()
        random = np.random.RandomState(7)
        while True:
            rows = random.permutation(ROWS)[:BATCH]
            yield x[rows], y[rows]

    return search(root, model=WithFit(lambda model, **kwargs: model.fit(batches(), steps_per_epoch=2, **kwargs)))


class Rows(tf.keras.utils.Sequence):
    """Shuffles its rows after each epoch; Keras shuffles the batches besides."""

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


def sequence(root: str) -> Made:
    return search(root, x=Rows())


def subclassed(root: str) -> Made:
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

    return arrays(root, model=model)


def mirrored(root: str) -> Made:
    tuner, kwargs = arrays(root)
    tuner.distribution_strategy = tf.distribute.MirroredStrategy(["cpu:0"])
    return tuner, kwargs


def two_fits(root: str) -> Made:
    """Trains, then goes on with a smaller rate; lost in the second."""

    def fit(model: tf.keras.Model, **kwargs: Any) -> Any:
        first = model.fit(**{**kwargs, "epochs": 1})
        model.optimizer.learning_rate.assign(0.001)
        second = model.fit(**{**kwargs, "initial_epoch": 1})
        assert [*first.epoch, *second.epoch] == list(range(EPOCHS))
        return second

    return arrays(root, model=WithFit(fit))


def two_fits_in_a_row(root: str) -> Made:
    """The second one's outcome is the execution's."""

    def fit(model: tf.keras.Model, **kwargs: Any) -> Any:
        model.fit(**kwargs)
        return model.fit(**{**kwargs, "epochs": 2})

    return arrays(root, model=WithFit(fit))


def run_trial_of_ones_own(root: str) -> Made:
    """No executions: builds and fits by itself."""

    class Own(kt.Tuner):
        def run_trial(self, trial: Any, **kwargs: Any) -> Any:
            model = self.hypermodel.build(trial.hyperparameters)
            saver = kt.src.engine.tuner_utils.SaveBestEpoch(OBJECTIVE, self._get_checkpoint_fname(trial.trial_id))
            kwargs["callbacks"].append(saver)
            return [model.fit(**kwargs)]

    _, kwargs = arrays(root)
    oracle = kt.oracles.RandomSearchOracle(OBJECTIVE, max_trials=1)
    return Own(oracle, build_small, directory=root, project_name="project"), kwargs


@pytest.mark.parametrize(
    "make",
    [
        conditional,
        derived_dataset,
        endless_dataset,
        everything,
        generator,
        mirrored,
        reshuffled_dataset,
        run_trial_of_ones_own,
        sequence,
        stateful,
        subclassed,
        two_fits,
        unknown_length,
    ],
    ids=lambda make: make.__name__,
)
def test_a_cut_off_trial_comes_out_as_one_left_alone(tmp_path: Path, make: Any) -> None:
    whole = TrialRunner(tmp_path / "whole", make).run()
    cut = TrialRunner(tmp_path / "cut", make)
    cut.die(at=3)
    if len(whole.histories) == 2:
        cut.die(at=4)  # two epochs to go in the first execution, then in the second
    end = cut.run()
    end.assert_same(whole)
    assert end.trained < whole.trained


def test_every_epoch_may_be_the_last_of_a_worker(tmp_path: Path) -> None:
    whole = TrialRunner(tmp_path / "whole", arrays).run()
    cut = TrialRunner(tmp_path / "cut", arrays)
    for _ in range(EPOCHS - 1):
        cut.die(at=2)
    end = cut.run()
    end.assert_same(whole)
    assert end.trained == 1


def test_a_training_that_stopped_early_does_not_go_on(tmp_path: Path) -> None:
    def fit(model: tf.keras.Model, **kwargs: Any) -> Any:
        result = model.fit(**kwargs)
        model.fit(**{**kwargs, "epochs": 1})  # where the worker is lost
        return result

    def make(root: str) -> Made:
        stop = tf.keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0, restore_best_weights=True)
        return arrays(root, model=WithFit(fit), callbacks=[stop], epochs=50)

    whole = TrialRunner(tmp_path / "whole", make).run()
    assert whole.epochs == [[0, 1]]
    cut = TrialRunner(tmp_path / "cut", make)
    cut.die(at=2)  # the patience is at its end
    cut.die(at=2)  # in the second fit
    end = cut.run()
    end.assert_same(whole)
    assert end.trained == 1


def test_what_an_execution_reads_before_it_trains_comes_in_its_first_order(tmp_path: Path) -> None:
    samples: list[list[float]] = []

    def fit(model: tf.keras.Model, x: tf.data.Dataset, **kwargs: Any) -> Any:
        samples.append(next(iter(x))[1].numpy().ravel().tolist())
        return model.fit(x, **kwargs)

    def make(root: str) -> Made:
        rows = tf.data.Dataset.from_tensor_slices(data()).shuffle(ROWS, seed=1).batch(BATCH)
        return search(root, model=WithFit(fit), executions=2, x=rows, epochs=1)

    TrialRunner(tmp_path / "whole", make).run()
    cut = TrialRunner(tmp_path / "cut", make)
    cut.die(at=2)  # in the second execution, of which nothing is saved yet
    cut.run()
    assert len(samples) == 5 and samples[1:] == samples[:-1]


def test_executions_differ_unless_the_model_building_code_seeds(tmp_path: Path) -> None:
    def seeding(hp: kt.HyperParameters) -> tf.keras.Model:
        tf.keras.utils.set_random_seed(11)
        return build_small(hp)

    def seeded(root: str) -> Made:
        tuner, kwargs = unseeded(root)
        tuner.hypermodel.build = seeding
        return tuner, kwargs

    def unseeded(root: str) -> Made:
        tuner, kwargs = reshuffled_dataset(root)
        return tuner, {**kwargs, "epochs": 1}

    free, bound = (TrialRunner(tmp_path / make.__name__, make).run() for make in (unseeded, seeded))
    assert free.histories[0] != free.histories[1]
    assert bound.histories[0] == bound.histories[1], "the data set was put back to its first order"


def test_the_users_seed_makes_another_search(tmp_path: Path) -> None:
    def seeded(seed: int) -> Any:
        def make(root: str) -> Made:
            tf.random.set_seed(seed)
            return brief(root)

        return make

    first = TrialRunner(tmp_path / "1", seeded(1)).run()
    TrialRunner(tmp_path / "2", seeded(1)).run().assert_same(first)
    assert TrialRunner(tmp_path / "3", seeded(2)).run().histories != first.histories


def test_a_new_attempt_begins_afresh_with_other_numbers(tmp_path: Path) -> None:
    runner = TrialRunner(tmp_path, brief_twice)
    first = runner.run()
    runner.die(at=2, attempt=1)
    assert list(runner.folder.iterdir()) == [runner.kept(1)]
    again = runner.run(attempt=2)
    assert again.trained == first.trained and again.histories != first.histories


def test_another_search_in_the_same_project_folder_begins_afresh(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = TrialRunner(tmp_path / "whole", everything).run()
    runner = TrialRunner(tmp_path / "shared", everything)
    runner.die(at=EPOCHS + 2, search="another")  # one execution is finished, one under way
    with caplog.at_level(logging.WARNING):
        end = runner.run()
    assert caplog.text.count("what another search, or other hyperparameters, left") == 1
    end.assert_same(whole)
    assert end.trained == whole.trained
    assert list(runner.folder.iterdir()) == [runner.kept()]


def test_other_hyperparameters_under_the_same_id_begin_afresh(tmp_path: Path) -> None:
    def units(value: int) -> Any:
        def make(root: str) -> Made:
            tuner, kwargs = arrays(root)
            tuner.oracle.hyperparameters.values["units"] = value
            return tuner, kwargs

        return make

    whole = TrialRunner(tmp_path / "whole", units(8)).run()
    TrialRunner(tmp_path / "cut", units(4)).die(at=3)
    end = TrialRunner(tmp_path / "cut", units(8)).run()
    end.assert_same(whole)
    assert end.trained == whole.trained


def test_finished_executions_are_kept_with_the_hyperparameters_that_only_the_model_knows(tmp_path: Path) -> None:
    def make(root: str) -> Made:
        tuner, kwargs = brief_twice(root)
        tuner.oracle.hyperparameters = kt.HyperParameters()
        return tuner, kwargs

    runner = TrialRunner(tmp_path, make)
    first = runner.run()
    end = runner.run()
    assert end.trained == 0
    end.assert_same(first)
    assert set(end.hyperparameters["values"]) == {"units"}


def test_an_execution_that_a_lost_worker_finishes_meanwhile_is_not_trained_again(tmp_path: Path) -> None:
    whole = TrialRunner(tmp_path / "whole", arrays)
    first = whole.run()

    def make(root: str) -> Made:
        def fit(model: tf.keras.Model, **kwargs: Any) -> Any:
            shutil.copytree(whole.folder, late.folder, dirs_exist_ok=True)
            return model.fit(**kwargs)

        return arrays(root, model=WithFit(fit))

    late = TrialRunner(tmp_path / "late", make)
    shutil.copytree(tmp_path / "whole", tmp_path / "late", ignore=shutil.ignore_patterns("resume"))
    end = late.run()
    assert end.trained == 0
    end.assert_same(first)


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """(what a worker left that died in epoch 3, what the trial would have been)."""
    root = tmp_path_factory.mktemp("lost")
    whole = TrialRunner(root / "whole", arrays).run()
    TrialRunner(root / "cut", arrays).die(at=3)
    return root / "cut", whole


@pytest.mark.parametrize("spoil", ["half a record", "no checkpoint", "a flipped bit", "another model"])
def test_a_spoilt_state_restarts_the_execution_with_a_warning(
    tmp_path: Path, lost: tuple[Path, Outcome], spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    left, whole = lost
    shutil.copytree(left, tmp_path / "cut")
    cut = TrialRunner(tmp_path / "cut", arrays)
    folder = cut.kept() / "execution_0" / "fit_0"
    record = folder / "record.json"
    (checkpoint,) = folder.glob("*.data-*")
    content = bytearray(checkpoint.read_bytes())
    if spoil == "half a record":
        record.write_bytes(record.read_bytes()[:-40])
    elif spoil == "no checkpoint":
        checkpoint.unlink()
    elif spoil == "a flipped bit":
        content[len(content) // 2] ^= 1
        checkpoint.write_bytes(content)
    else:
        record.write_text(record.read_text().replace("SGD", "Adam"))
    with caplog.at_level(logging.WARNING):
        end = cut.run()
    assert "begins again at its first epoch" in caplog.text
    end.assert_same(whole)
    assert end.trained == whole.trained


def test_a_spoilt_result_runs_its_execution_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runner = TrialRunner(tmp_path, brief_twice)
    whole = runner.run()
    (runner.kept() / "execution_1" / "record.json").write_text("{")
    end = runner.run()
    assert "it runs again" in caplog.text
    end.assert_same(whole)
    assert end.trained == 1


def test_a_folder_that_cannot_be_written_does_not_fail_the_trial(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = TrialRunner(tmp_path, brief)
    runner.folder.parent.mkdir(parents=True)
    runner.folder.write_text("a file where the folder should be")
    end = runner.run()
    assert "could not be saved" in caplog.text
    assert end.epochs == [[0]]


def test_a_trace_that_a_lost_worker_began_is_left_out(tmp_path: Path) -> None:
    def make(root: str) -> Made:
        # From the second batch on, to one in the third epoch.
        board = tf.keras.callbacks.TensorBoard(f"{root}/board", profile_batch=(2, 2 * ROWS // BATCH + 2))
        return arrays(root, callbacks=[board])

    runner = TrialRunner(tmp_path, make)
    runner.die(at=2)
    tf.summary.trace_off()  # goes with a process
    tf.profiler.experimental.stop(save=False)
    assert runner.run().epochs == [list(range(EPOCHS))]


class Heads(tf.keras.Model):
    """Trains, but is not saved."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.heads: Any
        dense = tf.keras.layers.Dense
        if kind == "numbers for keys":
            self.heads = {0: dense(1)}
        elif kind == "a replaced element":
            self.heads = [dense(2)]
            self.heads[0] = dense(1)
        else:
            self.heads = [dense(1)]
        self._tells = kind != "weights that are not told"

    @property
    def weights(self) -> Any:
        if not self._tells:
            raise ValueError("not now")
        return super().weights

    def call(self, inputs: Any) -> Any:
        return self.heads[0](inputs)


class Restless(tf.keras.callbacks.Callback):
    """Cannot be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.calm = True

    def __getattribute__(self, name: str) -> Any:
        if name == "__dict__" and not super().__getattribute__("calm"):
            raise RuntimeError("dictionary changed size during iteration")
        return super().__getattribute__(name)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calm = False


def unsavable(kind: str) -> Any:
    class Own(kt.Tuner):
        def run_trial(self, trial: Any, **kwargs: Any) -> Any:
            # For the test's runner: keras-tuner's own callback would not save the model either.
            tf.train.Checkpoint(step=tf.Variable(0)).write(self._get_checkpoint_fname(trial.trial_id))
            return [self.hypermodel.build(trial.hyperparameters).fit(**kwargs)]

    def model(hp: kt.HyperParameters) -> tf.keras.Model:
        made = build_small(hp) if kind == "a callback" else Heads(kind)
        made.compile("sgd", loss="mse")
        return made

    def make(root: str) -> Made:
        _, kwargs = arrays(root, callbacks=[Restless()] if kind == "a callback" else [])
        oracle = kt.oracles.RandomSearchOracle(OBJECTIVE, max_trials=1)
        return Own(oracle, model, directory=root, project_name="project"), kwargs

    return make


@pytest.mark.parametrize("kind", ["numbers for keys", "a replaced element", "weights that are not told", "a callback"])
def test_a_state_that_cannot_be_saved_does_not_fail_the_trial(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    runner = TrialRunner(tmp_path, unsavable(kind))
    with caplog.at_level(logging.WARNING):
        runner.die(at=3)
    (told,) = [message for message in caplog.messages if "cannot be saved" in message]
    assert "trains it again from its start (see docs/resume.md): " in told and "Error: " in told and "\n" not in told
    end = runner.run()
    assert end.epochs == [list(range(EPOCHS))] and end.trained == EPOCHS


def test_an_execution_whose_callbacks_cannot_be_looked_at_does_not_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changes(state: Any) -> Any:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr(
        "custom_components.distributed_tuner.worker.resume.callback_state.CallbackState.changes", changes
    )
    assert TrialRunner(tmp_path, brief).run().epochs == [[0]]
    assert "a finished execution could not be saved, a lost worker would repeat it: RuntimeError" in caplog.text


def test_only_the_last_state_is_on_disk(tmp_path: Path, lost: tuple[Path, Outcome]) -> None:
    shutil.copytree(lost[0], tmp_path / "cut")
    runner = TrialRunner(tmp_path / "cut", arrays)
    folder = runner.kept() / "execution_0" / "fit_0"
    (folder / "1234abcd-7_temp").mkdir()
    (folder / "1234abcd-7_temp" / "part-0").write_text("left by a kill in the middle of a checkpoint")
    runner.die(at=2)
    kinds = sorted(entry.name.partition(".")[2].partition("-")[0] for entry in folder.iterdir())
    assert kinds == ["data", "index", "json"]


def test_short_epochs_are_not_saved_one_by_one(tmp_path: Path) -> None:
    runner = TrialRunner(tmp_path, arrays, Pace(share=1e-6, unsaved_seconds=3600.0))
    runner.die(at=4)
    assert runner.run().trained == EPOCHS - 1


def test_a_worker_that_is_told_to_go_saves_its_short_epochs_first(tmp_path: Path) -> None:
    runner = TrialRunner(tmp_path, arrays, Pace(share=1e-6, unsaved_seconds=3600.0))
    told = threading.Thread(target=runner.departure.wait, args=(60.0,), daemon=True)

    def tell() -> Directive:
        if DieAt.begun == 3:
            told.start()
            ends = time.monotonic() + 60.0
            while not runner.departure.wanted:
                assert time.monotonic() < ends
                time.sleep(0.01)
            assert told.is_alive(), "two finished epochs are not saved"
        return Directive.CONTINUE

    with pytest.raises(WorkerDied):
        runner.run(die_at=4, directive=tell)
    told.join(60.0)
    assert not told.is_alive()
    assert TrialRunner(tmp_path, arrays).run().trained == EPOCHS - 3


def test_the_chief_ends_a_training(tmp_path: Path) -> None:
    end = TrialRunner(tmp_path / "finish", arrays).run(directive=Directive.FINISH)
    assert end.epochs == [[0]] and end.cut == "the test wants it"
    runner = TrialRunner(tmp_path / "abandon", arrays)
    with pytest.raises(training.TrialAbandoned, match="the test wants it"):
        runner.run(directive=Directive.ABANDON)
    assert not list(runner.folder.glob("*")), "the folder is somebody else's by now"


def finish_at(epoch: int) -> Any:
    """FINISH from this epoch on, counted from 1 over all executions."""
    return lambda: Directive.FINISH if DieAt.begun >= epoch else Directive.CONTINUE


@pytest.mark.parametrize("pace", [EVERY_EPOCH, Pace(share=1e-6, unsaved_seconds=3600.0)], ids=["each", "seldom"])
@pytest.mark.parametrize("at", [2, EPOCHS + 2])
def test_an_execution_that_a_limit_cut_short_goes_on_without_the_limit(tmp_path: Path, at: int, pace: Pace) -> None:
    whole = TrialRunner(tmp_path / "whole", everything).run()
    runner = TrialRunner(tmp_path / "cut", everything, pace)
    limited = runner.run(directive=finish_at(at))
    assert limited.trained == at
    end = runner.run()
    end.assert_same(whole)
    assert end.trained == whole.trained - at


def summing_up(root: str) -> Made:
    """A tuner of one's own that works with the executions' histories."""

    class Own(kt.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
            results = super().run_trial(trial, *args, **kwargs)
            assert all(result.history["val_loss"] for result in results)
            return results[:1]

    _, kwargs = arrays(root)
    where = {"directory": root, "project_name": "project"}
    return Own(build_small, OBJECTIVE, max_trials=1, executions_per_trial=3, **where), kwargs


def test_executions_that_have_not_begun_are_left_out_of_a_trial_that_is_to_end(tmp_path: Path) -> None:
    def thrice(root: str) -> Made:
        return arrays(root, executions=3)

    whole = TrialRunner(tmp_path / "whole", thrice).run()
    for at, expected in ((2, [2]), (EPOCHS, [EPOCHS]), (EPOCHS + 1, [EPOCHS, 1])):
        end = TrialRunner(tmp_path / str(at), thrice).run(directive=finish_at(at))
        assert list(map(len, end.epochs)) == expected
        best = [min(history["val_loss"][:epochs]) for history, epochs in zip(whole.histories, expected, strict=False)]
        assert end.metrics["val_loss"] == np.mean(best)
    assert TrialRunner(tmp_path / "own", summing_up).run(directive=finish_at(2)).epochs == [[0, 1]]


def test_finished_executions_count_also_in_a_trial_that_is_to_end(tmp_path: Path) -> None:
    runner = TrialRunner(tmp_path, brief_twice)
    first = runner.run()
    runner.run(directive=lambda: Directive.FINISH).assert_same(first)


def test_what_follows_a_fit_that_was_cut_short_is_not_kept(tmp_path: Path) -> None:
    whole = TrialRunner(tmp_path / "whole", two_fits_in_a_row).run()
    runner = TrialRunner(tmp_path / "cut", two_fits_in_a_row)
    assert runner.run(directive=finish_at(2)).epochs == [[0]]
    end = runner.run()
    end.assert_same(whole)
    assert end.trained == whole.trained - 2


def test_a_training_that_is_told_to_end_at_its_last_epoch_was_not_cut_short(tmp_path: Path) -> None:
    end = TrialRunner(tmp_path / "last", arrays).run(directive=finish_at(EPOCHS))
    assert end.epochs == [list(range(EPOCHS))] and end.cut is None
    end = TrialRunner(tmp_path / "before", arrays).run(directive=finish_at(EPOCHS - 1))
    assert end.epochs == [list(range(EPOCHS - 1))] and end.cut == "the test wants it"


def test_executions_without_fit_are_kept_too(tmp_path: Path) -> None:
    calls: list[int] = []

    def fit(model: tf.keras.Model, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return {"val_loss": np.float32(len(calls) / 3)}

    def run() -> Any:
        current = CurrentTrial()
        current.begin("0", 0)
        tuner, kwargs = search(str(tmp_path), model=WithFit(fit), executions=2)
        with Executions(current).kept(tuner):
            return tuner.run_trial(kt.engine.trial.Trial(tuner.oracle.get_space(), trial_id="0"), **kwargs)

    with pytest.raises(KeyboardInterrupt):
        run()
    results = run()
    assert len(calls) == 3
    assert results == [{"val_loss": np.float32(1 / 3)}, {"val_loss": np.float32(3 / 3)}]
    assert all(type(result["val_loss"]) is np.float32 for result in results)
