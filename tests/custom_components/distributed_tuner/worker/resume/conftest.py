"""One trial of a stock keras-tuner tuner in this process, cut off and taken up again."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf
from keras_tuner.src.engine import tuner_utils

from custom_components.distributed_tuner.study.answers import Directive
from custom_components.distributed_tuner.worker import training
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial
from custom_components.distributed_tuner.worker.resume import randomness
from custom_components.distributed_tuner.worker.resume.executions import Executions
from custom_components.distributed_tuner.worker.resume.pace import Pace
from custom_components.distributed_tuner.worker.termination import Departure

# Workers import the tuner functions of these tests by the name `resumed_tuners`.
sys.path.append(str(Path(__file__).parent))

OBJECTIVE = kt.Objective("val_loss", "min")
EVERY_EPOCH = Pace(unsaved_seconds=0.0)


class WorkerDied(BaseException):
    """In the place of kill -9: nothing of ours catches it."""


class DieAt(tf.keras.callbacks.Callback):
    """Ends the worker in the middle of one epoch, counted over all executions of this process."""

    begun = 0
    at: int | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == 0:
            type(self).begun += 1
        if batch == 1 and type(self).begun == type(self).at:
            raise WorkerDied


@dataclasses.dataclass
class Outcome:
    """What keras-tuner makes of a trial, and what the worker counted."""

    histories: list[dict[str, list[float]]]
    epochs: list[list[int]]
    metrics: dict[str, float]
    best_step: int
    best_weights: dict[str, np.ndarray[Any, Any]]
    hyperparameters: dict[str, Any]
    counted: int | None
    trained: int
    cut: str | None

    def assert_same(self, other: Outcome) -> None:
        """To the bit, but for how much was trained in this process."""
        assert self.histories == other.histories
        assert self.epochs == other.epochs
        assert self.metrics == other.metrics
        assert self.best_step == other.best_step
        assert self.hyperparameters == other.hyperparameters
        assert self.counted == other.counted
        assert self.best_weights.keys() == other.best_weights.keys()
        for name, value in self.best_weights.items():
            np.testing.assert_array_equal(value, other.best_weights[name], err_msg=name)


MakeTuner = Callable[[str], tuple[kt.Tuner, dict[str, Any]]]


class TrialRunner:
    """Runs trial "0" of one directory, as often as a test likes."""

    def __init__(self, root: Path, make: MakeTuner, pace: Pace = EVERY_EPOCH) -> None:
        self.root = root
        self.make = make
        self.pace = pace
        self.departure = Departure()
        self.folder = root / "project" / "trial_0" / "resume"

    def kept(self, attempt: int = 0) -> Path:
        """What is kept of one attempt at the trial."""
        (found,) = self.folder.glob(f"*-attempt_{attempt}")
        return found

    def run(
        self,
        *,
        die_at: int | None = None,
        attempt: int = 0,
        directive: Directive | Callable[[], Directive] = Directive.CONTINUE,
        search: str = "this",
    ) -> Outcome:
        """One worker's life with the trial of a search.

        Raises:
          WorkerDied: the worker began epoch `die_at`, counted from 1.
        """
        DieAt.begun, DieAt.at = 0, die_at
        # As in a new process: the seed and the generators of the last run are not the user's.
        tf.random.set_seed(None)
        randomness.make_restorable()
        current = CurrentTrial()
        executions = Executions(current, self.pace, self.departure)
        tuner, kwargs = self.make(str(self.root))
        kwargs["callbacks"] = [*kwargs.get("callbacks", []), DieAt()]
        trial = kt.engine.trial.Trial(tuner.oracle.get_space(), trial_id="0")
        current.begin("0", attempt, search)

        def on_epoch() -> tuple[Directive, str]:
            executions.epoch()
            return directive if isinstance(directive, Directive) else directive(), "the test wants it"

        def finishing() -> str | None:
            ending = not isinstance(directive, Directive) and directive() is Directive.FINISH
            return "the test wants it" if ending else None

        with executions.kept(tuner, finishing), training.followed(on_epoch, executions, current.cut_short):
            results = tuner.run_trial(trial, **kwargs)
        reader = tf.train.load_checkpoint(tuner._get_checkpoint_fname("0"))
        dtypes = reader.get_variable_to_dtype_map().items()
        names = [name for name, dtype in dtypes if not name.startswith("_CHECK") and dtype != tf.variant]
        return Outcome(
            histories=[result.history for result in results],
            epochs=[result.epoch for result in results],
            metrics=tuner_utils.convert_to_metrics_dict(results, OBJECTIVE),
            best_step=tuner_utils.get_best_step(results, OBJECTIVE),
            best_weights={name: reader.get_tensor(name) for name in names},
            hyperparameters=trial.hyperparameters.get_config(),
            counted=current.epochs,
            trained=DieAt.begun,
            cut=current.cut,
        )

    def die(self, at: int, attempt: int = 0, search: str = "this") -> None:
        """The worker is lost in the middle of this epoch."""
        with contextlib.suppress(WorkerDied):
            self.run(die_at=at, attempt=attempt, search=search)
            pytest.fail(f"the trial ended before its epoch {at}")


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_worker() -> Iterator[None]:
    enabled = tf.keras.backend.experimental.is_tf_random_generator_enabled()
    randomness.make_restorable()
    # keras-tuner collects garbage before each model; TensorFlow's modules alone would make that most of a test's time.
    gc.freeze()
    yield
    gc.unfreeze()
    if not enabled:
        tf.keras.backend.experimental.disable_tf_random_generator()
