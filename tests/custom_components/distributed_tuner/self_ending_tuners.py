"""A tuner that ends its trials itself, each in a way of its own, as tuners that people publish do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_tuner as kt
import numpy as np
import tensorflow as tf
from tfx.components.tuner.component import TunerFnResult

OBJECTIVE = kt.Objective("val_loss", "min")
EPOCHS = 3

Way = Callable[["SelfEnding", Any, Any, int], None]


def _stop(status: str, *, report: float | None = None, error: Exception | None = None, again: str = "") -> Way:
    def end(tuner: SelfEnding, trial: Any, model: Any, epoch: int) -> None:
        if report is not None:
            tuner.oracle.update_trial(trial.trial_id, {"val_loss": report}, step=epoch)
        trial.status = status
        model.stop_training = True
        tuner.oracle.end_trial(trial)
        if error is not None:
            raise error
        if again:
            trial.status = again
            tuner.oracle.end_trial(trial)

    return end


def _report_later(tuner: SelfEnding, trial: Any, model: Any, epoch: int) -> None:
    _stop("STOPPED")(tuner, trial, model, epoch)
    tuner.oracle.update_trial(trial.trial_id, {"val_loss": 0.5}, step=epoch)


def _status_alone(tuner: SelfEnding, trial: Any, model: Any, epoch: int) -> None:
    trial.status = "STOPPED"
    model.stop_training = True


def _by_id(tuner: SelfEnding, trial: Any, model: Any, epoch: int) -> None:
    model.stop_training = True
    tuner.oracle.end_trial(trial.trial_id, "STOPPED")


def _by_name(tuner: SelfEnding, trial: Any, model: Any, epoch: int) -> None:
    model.stop_training = True
    tuner.oracle.end_trial(trial_id=trial.trial_id, status="STOPPED")


# What a trial's tuner does at the end of its second epoch.
INSIDE_AN_EPOCH: dict[str, Way] = {
    "stopped": _stop("STOPPED"),
    "invalid": _stop("INVALID"),
    "failed": _stop("FAILED"),
    "running": _stop("RUNNING"),
    "completed without a score": _stop("COMPLETED"),
    "completed with a score": _stop("COMPLETED", report=0.25),
    "stopped with a score": _stop("STOPPED", report=0.25),
    "raises after stopping": _stop("STOPPED", error=ValueError("no more")),
    "fails after completing": _stop("COMPLETED", report=0.25, error=kt.errors.FailedTrialError("no more")),
    "twice": _stop("STOPPED", again="INVALID"),
    "reports later": _report_later,
    "status alone": _status_alone,
}
# What `run_trial` returns after that.
RETURNED: dict[str, Any] = {
    "nothing, with a score": None,
    "a number": 0.25,
    "a dict": {"val_loss": 0.25},
    "a list": [0.25, 0.75],
}
# With what status `on_trial_end` ends the trial.
AT_LAST: dict[str, str] = {"stopped at last": "STOPPED", "invalid at last": "INVALID", "failed at last": "FAILED"}
OTHERS = ("nothing special", "ends only inside", "ends twice")
# keras-tuner loses the hyperparameters of trials that are ended so, and its next values are others: they come last.
OLD: dict[str, Way] = {"by id": _by_id, "by name": _by_name}
KINDS = (*INSIDE_AN_EPOCH, *RETURNED, *AT_LAST, *OTHERS, *OLD)


class SelfEnding(kt.RandomSearch):
    """Each trial is of the kind that `KINDS` has at its place, and says what it sees of its own end."""

    def kind(self, trial: Any) -> str:
        """What happens in this trial."""
        return KINDS[int(trial.trial_id)]

    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(trial, model, epoch, logs)
        act = {**INSIDE_AN_EPOCH, **OLD}.get(self.kind(trial))
        if act is not None and epoch == 1:
            act(self, trial, model, epoch)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().run_trial(trial, *args, **kwargs)
        kind = self.kind(trial)
        if kind in RETURNED:
            result = RETURNED[kind]
            if result is None:
                self.oracle.update_trial(trial.trial_id, {"val_loss": 0.25})
            trial.status = "STOPPED"
            self.oracle.end_trial(trial)
        if kind == "ends only inside":
            self.oracle.update_trial(trial.trial_id, {"val_loss": 0.25})
            trial.status = "COMPLETED"
            self.oracle.end_trial(trial)
        return result

    def on_trial_end(self, trial: Any) -> None:
        kind = self.kind(trial)
        if kind == "ends only inside":
            return
        trial.status = AT_LAST.get(kind, trial.status)
        super().on_trial_end(trial)
        if trial.status == "COMPLETED":
            seen = self.oracle.get_trial(trial.trial_id)
            print(f"{kind}: {seen.score!r} {seen.best_step} {trial.score!r}")
        if kind == "ends twice":
            self.oracle.end_trial(trial)


def build(hp: kt.HyperParameters) -> tf.keras.Model:
    """The same model for the same values, in any process."""
    tf.keras.utils.set_random_seed(1)
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(3,))])
    model.compile(tf.keras.optimizers.SGD(hp.Float("rate", 1e-3, 1e-1)), loss="mse")
    return model


def made(directory: str) -> tuple[SelfEnding, dict[str, Any]]:
    """(a tuner with a trial of each kind, the arguments for its search)."""
    tuner = SelfEnding(
        build,
        OBJECTIVE,
        max_trials=len(KINDS),
        seed=1,
        max_consecutive_failed_trials=len(KINDS),
        directory=directory,
        project_name="project",
    )
    x = np.random.RandomState(0).normal(size=(16, 3)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    return tuner, {"x": x, "y": y, "validation_data": (x, y), "epochs": EPOCHS, "verbose": 0}


def tuner(fn_args: Any) -> TunerFnResult:
    """The same for a search."""
    return TunerFnResult(*made(fn_args.working_dir))
