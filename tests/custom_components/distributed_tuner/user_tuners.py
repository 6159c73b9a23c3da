"""What users write: tuner functions for the tests, most without a model so that a trial takes no time."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import functools
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import tensorflow as tf
from tfx.components.tuner.component import TunerFnResult

OBJECTIVE = kt.Objective("val_loss", "min")


def _data() -> tuple[Any, Any]:
    random = np.random.RandomState(0)
    x = random.normal(size=(256, 4)).astype("float32")
    return x, (x @ random.normal(size=(4, 1))).astype("float32")


def _build(hp: kt.HyperParameters, most_units: int = 16) -> tf.keras.Model:
    units = hp.Int("units", 4, most_units, step=4)
    model = tf.keras.Sequential([tf.keras.layers.Dense(units, input_shape=(4,), activation="relu")])
    if hp.Boolean("deep"):
        with hp.conditional_scope("deep", [True]):
            model.add(tf.keras.layers.Dense(hp.Choice("deep_units", [3, 5])))
    model.add(tf.keras.layers.Dense(1))
    model.compile(tf.keras.optimizers.Adam(hp.Choice("learning_rate", [0.1, 0.01])), loss="mse")
    return model


def models(fn_args: Any) -> TunerFnResult:
    """Real models under the tuner class that custom_config names."""
    config = fn_args.custom_config
    where = {"directory": fn_args.working_dir, "project_name": "models", "seed": 1}
    trials = config.get("max_trials", 4)
    build = functools.partial(_build, most_units=config.get("most_units", 16))
    objective = kt.Objective(*config.get("objective", ("val_loss", "min")))
    tuners = {
        "random": lambda: kt.RandomSearch(build, objective, max_trials=trials, **where),
        "bayesian": lambda: kt.BayesianOptimization(
            _build, OBJECTIVE, max_trials=trials, num_initial_points=2, **where
        ),
        "hyperband": lambda: kt.Hyperband(_build, OBJECTIVE, max_epochs=4, factor=2, **where),
        "grid": lambda: kt.GridSearch(_build, OBJECTIVE, max_trials=trials, **where),
    }
    x, y = _data()
    fit = {"x": x, "y": y, "validation_data": (x, y), "epochs": config.get("epochs", 2), "verbose": 0}
    return TunerFnResult(tuner=tuners[config.get("algorithm", "random")](), fit_kwargs=fit)


def used_up(fn_args: Any) -> TunerFnResult:
    """Models whose rows come from a generator that the first trial reads to its end."""
    result = models(fn_args)
    x, y = result.fit_kwargs["x"], result.fit_kwargs.pop("y")
    result.fit_kwargs.update(x=(batch for batch in [(x, y)]), epochs=1)
    return result


class _Start(tf.keras.callbacks.Callback):
    """Writes down with what a trial begins its training."""

    def __init__(self, log: Path, trial_id: str, data: tuple[Any, Any], seconds: float) -> None:
        super().__init__()
        self._log = log
        self._trial_id = trial_id
        self._data = data
        self._seconds = seconds
        self._start: dict[str, Any] | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        time.sleep(self._seconds)
        if self._start is None:
            x, y = self._data
            predicted = self.model(x, training=False).numpy()
            self._start = {
                "trial": self._trial_id,
                "initial_epoch": epoch,
                "kernel": self.model.get_weights()[0].tolist(),
                "loss_of_kernel": float(np.mean((predicted - y) ** 2)),
            }

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._start:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**self._start, "loss": float(logs["loss"])}) + "\n")
            self._start = {}


class _Halving(kt.Hyperband):
    def __init__(self, *args: Any, failing: list[str], seconds: float, **kwargs: Any) -> None:
        self._failing = failing
        self._seconds = seconds
        super().__init__(*args, **kwargs)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        if trial.trial_id in self._failing:
            raise ValueError(f"trial {trial.trial_id} does not like its configuration")
        log = Path(self.directory, "starts.log")
        kwargs["callbacks"] = [_Start(log, trial.trial_id, (kwargs["x"], kwargs["y"]), self._seconds)]
        return super().run_trial(trial, *args, **kwargs)


def halving(fn_args: Any) -> TunerFnResult:
    """Hyperband over real models, one batch an epoch; each trial writes down what it began with."""
    tuner = _Halving(
        _build,
        OBJECTIVE,
        max_epochs=4,
        factor=2,
        seed=1,
        directory=fn_args.working_dir,
        project_name="hyperband",
        **{"failing": [], **fn_args.custom_config},
    )
    x, y = _data()
    fit = {"x": x, "y": y, "batch_size": len(x), "validation_data": (x, y), "verbose": 0}
    return TunerFnResult(tuner=tuner, fit_kwargs=fit)


class _Slow(tf.keras.callbacks.Callback):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        time.sleep(self._seconds)


class _Troubled(kt.RandomSearch):
    """Some of its trials fail, hang, or kill their worker."""

    def __init__(self, trouble: dict[str, str], *args: Any, **kwargs: Any) -> None:
        self._trouble = trouble
        super().__init__(*args, **kwargs)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        trouble = self._trouble.get(trial.trial_id)
        if trouble == "fails":
            raise ValueError(f"trial {trial.trial_id} does not like its configuration")
        if trouble == "hangs":
            time.sleep(600)
        if trouble == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "is mislabelled":
            model = tf.keras.Sequential([tf.keras.layers.Dense(3, activation="softmax")])
            model.compile("sgd", "sparse_categorical_crossentropy")
            model.fit(kwargs["x"], np.full((len(kwargs["x"]),), 7), verbose=0)
        return super().run_trial(trial, *args, **kwargs)


def troubled(fn_args: Any) -> TunerFnResult:
    """Real models; `trouble` names what befalls a trial, `seconds` is how long an epoch takes at least."""
    config = fn_args.custom_config
    tuner = _Troubled(
        config.get("trouble", {}),
        _build,
        OBJECTIVE,
        max_trials=config.get("max_trials", 8),
        seed=1,
        directory=fn_args.working_dir,
        project_name="troubled",
    )
    x, y = _data()
    fit = {"x": x, "y": y, "validation_data": (x, y), "epochs": config.get("epochs", 1), "verbose": 0}
    return TunerFnResult(tuner=tuner, fit_kwargs={**fit, "callbacks": [_Slow(config.get("seconds", 0.0))]})


class _Marks(tf.keras.callbacks.Callback):
    """Leaves a file for each epoch that was begun, in a folder that may be anywhere."""

    def __init__(self, folder: str, seconds: float) -> None:
        super().__init__()
        self._folder = folder
        self._seconds = seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        time.sleep(self._seconds)
        with tf.io.gfile.GFile(f"{self._folder}/{epoch}-{uuid.uuid4().hex}", "w") as file:
            file.write("begun")


def anywhere(fn_args: Any) -> TunerFnResult:
    """Real models, in a directory that need not be on this machine; an epoch takes `seconds` at least."""
    config = fn_args.custom_config
    where = {"directory": fn_args.working_dir, "project_name": "project", "seed": 1}
    tuner = kt.RandomSearch(_build, OBJECTIVE, max_trials=config["max_trials"], **where)
    x, y = _data()
    marks = _Marks(f"{fn_args.working_dir}/epochs", config["seconds"])
    fit = {"x": x, "y": y, "validation_data": (x, y), "epochs": config["epochs"], "verbose": 0, "callbacks": [marks]}
    return TunerFnResult(tuner=tuner, fit_kwargs=fit)


class Waiting(kt.Tuner):
    """A trial that only waits, and writes down that it ran."""

    def run_trial(self, trial: Any, seconds: float = 0.0, **kwargs: Any) -> float:
        x = trial.hyperparameters.Float("x", -2.0, 2.0)
        with Path(self.directory, "ran.log").open("a", encoding="utf-8") as file:
            file.write(f"{trial.trial_id} {os.getpid()}\n")
        time.sleep(seconds)
        return x * x


def waiting(fn_args: Any) -> TunerFnResult:
    """Trials that take `seconds` each."""
    config = fn_args.custom_config
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    oracle = kt.oracles.RandomSearchOracle(max_trials=config.get("max_trials", 8), seed=1, hyperparameters=space)
    tuner = Waiting(oracle, directory=fn_args.working_dir, project_name="waiting")
    return TunerFnResult(tuner=tuner, fit_kwargs={"seconds": config.get("seconds", 0.0)})


def few_descriptors(fn_args: Any) -> TunerFnResult:
    """As `waiting`, with a chief that may have few files open, and cannot raise the limit."""
    if os.environ["KERASTUNER_TUNER_ID"] == "chief":
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    return waiting(fn_args)


def revealing(fn_args: Any) -> TunerFnResult:
    """A black box whose hyperparameters nobody knows before its first trial has run."""
    oracle = kt.oracles.RandomSearchOracle(max_trials=fn_args.custom_config["max_trials"], seed=1)
    tuner = Waiting(oracle, directory=fn_args.working_dir, project_name="revealing")
    return TunerFnResult(tuner=tuner, fit_kwargs={"seconds": fn_args.custom_config["seconds"]})


class _Full(Waiting):
    """Its second trial finds no room for a file."""

    def __init__(self, path: str, *args: Any, **kwargs: Any) -> None:
        self._path = path
        super().__init__(*args, **kwargs)

    def run_trial(self, trial: Any, seconds: float = 0.0, **kwargs: Any) -> float:
        if trial.trial_id == "1":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        return super().run_trial(trial, seconds, **kwargs)


def full(fn_args: Any) -> TunerFnResult:
    """The disk is full where `path` would be."""
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    oracle = kt.oracles.RandomSearchOracle(max_trials=4, seed=1, hyperparameters=space)
    where = {"directory": fn_args.working_dir, "project_name": "full"}
    return TunerFnResult(tuner=_Full(fn_args.custom_config["path"], oracle, **where), fit_kwargs={})


def raises(fn_args: Any) -> TunerFnResult:
    """A fault in the user's own function."""
    raise RuntimeError("no such feature: cheese")


def interrupted(fn_args: Any) -> TunerFnResult:
    """A library below takes something for Ctrl-C."""
    raise KeyboardInterrupt


def untraceable(fn_args: Any) -> TunerFnResult:
    """An error whose text begins with a heading and a stack."""

    @tf.function
    def scale(x: Any) -> Any:
        return x * factor  # type: ignore[name-defined]  # noqa: F821

    return scale(tf.zeros(1))


def exits(fn_args: Any) -> TunerFnResult:
    """A function that ends the process that calls it."""
    sys.exit("no licence")


def returns_nothing(fn_args: Any) -> None:
    """Forgets to return."""


def pattern(fn_args: Any) -> TunerFnResult:
    """A project name that TensorFlow takes for a pattern."""
    oracle = kt.oracles.RandomSearchOracle(max_trials=1)
    return TunerFnResult(tuner=Waiting(oracle, directory=fn_args.working_dir, project_name="a[b]"), fit_kwargs={})


def empty_space(fn_args: Any) -> TunerFnResult:
    """Asks for no hyperparameter."""

    def build(hp: kt.HyperParameters) -> tf.keras.Model:
        model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(4,))])
        model.compile("sgd", loss="mse")
        return model

    tuner = kt.RandomSearch(build, OBJECTIVE, max_trials=3, directory=fn_args.working_dir, project_name="empty")
    return TunerFnResult(tuner=tuner, fit_kwargs={})


class _Failing(Waiting):
    def run_trial(self, trial: Any, seconds: float = 0.0, **kwargs: Any) -> float:
        x = trial.hyperparameters.Float("x", -2.0, 2.0)
        raise ValueError(f"cannot train with x={x:.3f}")


def failing_build(fn_args: Any) -> TunerFnResult:
    """The model cannot be built but with the default that the chief explores the space with."""

    def build(hp: kt.HyperParameters) -> tf.keras.Model:
        units = hp.Int("units", 1, 10_000)
        if units > 1:
            raise ValueError(f"cannot build with units={units}")
        model = tf.keras.Sequential([tf.keras.layers.Dense(units, input_shape=(4,))])
        model.compile("sgd", loss="mse")
        return model

    tuner = kt.RandomSearch(
        build, OBJECTIVE, max_trials=20, seed=1, directory=fn_args.working_dir, project_name="failing_build"
    )
    x, y = _data()
    return TunerFnResult(tuner=tuner, fit_kwargs={"x": x, "y": y, "verbose": 0})


def failing(fn_args: Any) -> TunerFnResult:
    """Every trial fails."""
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    oracle = kt.oracles.RandomSearchOracle(max_trials=20, seed=1, hyperparameters=space)
    tuner = _Failing(oracle, directory=fn_args.working_dir, project_name="failing")
    return TunerFnResult(tuner=tuner, fit_kwargs={})


class _Odd(Waiting):
    """Trial 0 is special, or the first two."""

    def __init__(self, kind: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kind = kind

    def run_trial(self, trial: Any, seconds: float = 0.0, **kwargs: Any) -> float:
        number = int(trial.trial_id)
        if self._kind == "stuck" and number == 0:
            time.sleep(600)
        if self._kind == "poisonous" and number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._kind == "misspelt" and number == 0:
            name = os.fsdecode(b"caf\xe9.csv")
            print(f"reading {name}")
            raise ValueError(f"cannot read {name}")
        if self._kind == "unsendable" and number < 3:
            name, value = [("x", object()), ("layers", [64, 32]), ("x", None)][number]
            trial.hyperparameters.values[name] = value
            return 0.0
        if self._kind == "mismeasured" and number < 2:
            metrics: list[Any] = [{"default_objective": 1.0, "f1": "n/a"}, {"default_objective": None}]
            self.oracle.update_trial(trial.trial_id, metrics[number])
        if self._kind == "verbose" and number == 0:
            line = "a line of a library that tells everything\n" * 100_000
            for _ in range(25):
                sys.stdout.write(line)
                os.write(2, line.encode())
            raise ValueError("the whole table: " + "x" * 300_000_000 + " which ends here")
        if self._kind == "diverging" and number < 2:
            return [float("nan"), float("inf")][number]
        return super().run_trial(trial, seconds, **kwargs)


def _odd(kind: str, fn_args: Any) -> TunerFnResult:
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    trials = fn_args.custom_config.get("max_trials", 4)
    oracle = kt.oracles.RandomSearchOracle(max_trials=trials, seed=1, hyperparameters=space)
    return TunerFnResult(tuner=_Odd(kind, oracle, directory=fn_args.working_dir, project_name=kind), fit_kwargs={})


def stuck_once(fn_args: Any) -> TunerFnResult:
    """The first trial never ends."""
    return _odd("stuck", fn_args)


def poisonous(fn_args: Any) -> TunerFnResult:
    """The first trial kills whoever runs it, as memory that runs out does."""
    return _odd("poisonous", fn_args)


def misspelt(fn_args: Any) -> TunerFnResult:
    """The first trial fails over a file whose name is not UTF-8, and says so."""
    return _odd("misspelt", fn_args)


def verbose(fn_args: Any) -> TunerFnResult:
    """The first trial prints 200 MB, and fails with a message of 300."""
    return _odd("verbose", fn_args)


def unsendable(fn_args: Any) -> TunerFnResult:
    """The first three trials put something among their hyperparameters that is no value of one."""
    return _odd("unsendable", fn_args)


def mismeasured(fn_args: Any) -> TunerFnResult:
    """The first two trials report what is no number."""
    return _odd("mismeasured", fn_args)


def diverging(fn_args: Any) -> TunerFnResult:
    """The first two trials end with no finite objective."""
    return _odd("diverging", fn_args)


def crashes_in_workers(fn_args: Any) -> TunerFnResult:
    """Native code that crashes where a worker runs, and not where the chief does."""
    if os.environ["KERASTUNER_TUNER_ID"] != "chief":
        os.kill(os.getpid(), signal.SIGSEGV)
    return waiting(fn_args)


def leaves_workers(fn_args: Any) -> TunerFnResult:
    """Ends workers with the exit code that custom_config names, before their first trial or in it."""
    code = fn_args.custom_config["code"]
    if os.environ["KERASTUNER_TUNER_ID"] != "chief" and not fn_args.custom_config.get("in_trial"):
        os._exit(code)
    result = waiting(fn_args)
    if fn_args.custom_config.get("in_trial"):
        result.tuner.run_trial = lambda trial, **kwargs: os._exit(code)
    return result


_ENDS = {"list is used up": StopIteration(), "sys.exit": SystemExit(3), "cancels": asyncio.CancelledError()}


class _Oracle(kt.oracles.RandomSearchOracle):
    """An oracle that somebody wrote, with the fault that its `fault` names."""

    fault = ""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if len(self.trials) == 2 and self.fault in _ENDS:
            raise _ENDS[self.fault]
        if self.fault == "exits at once" and len(self.trials) == 2:
            os._exit(0)
        if self.fault == "kills" and len(self.trials) == 2:
            signal.raise_signal(signal.SIGSEGV)  # to this thread, as a crash comes
        if self.fault == "hangs" and len(self.trials) == 2:
            time.sleep(600)
        if self.fault == "forks":
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
            child.start()
            child.terminate()
            child.join(60)
            assert child.exitcode == -signal.SIGTERM, f"terminate() had no effect: {child.exitcode}"
        return super().populate_space(trial_id)

    def score_trial(self, trial: Any) -> None:
        super().score_trial(trial)
        if self.fault == "best step":
            trial.best_step = "last"
        if self.fault == "no score":
            trial.score = float("nan")

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        if self.fault == "state":
            state["seen"] = {object()}
        if self.fault == "state raises" and len(self.end_order) > 1:
            raise ValueError("no state after the second trial")
        return state


def own_oracle(fn_args: Any) -> TunerFnResult:
    """A search with an oracle of the user's own, and its `fault`."""
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    oracle = _Oracle(max_trials=4, seed=1, hyperparameters=space)
    oracle.fault = fn_args.custom_config["fault"]
    tuner = Waiting(oracle, directory=fn_args.working_dir, project_name="own_oracle")
    return TunerFnResult(tuner=tuner, fit_kwargs={"seconds": 0.0})


class _Faulty(Waiting):
    """Its methods beside `run_trial` do what they should not, `times` times."""

    def __init__(self, fault: str, marks: Path, times: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fault = fault
        self._marks = marks
        self._times = times

    def _now(self, fault: str) -> bool:
        return fault == self._fault and _one_of(self._marks, self._times)

    def search(self, *args: Any, **kwargs: Any) -> None:
        if self._now("search returns"):
            return
        super().search(*args, **kwargs)

    def on_trial_begin(self, trial: Any) -> None:
        if self._now("on_trial_begin raises"):
            raise ValueError("no place to log to")
        super().on_trial_begin(trial)

    def on_trial_end(self, trial: Any) -> None:
        if self._now("on_trial_end forgets"):
            return
        super().on_trial_end(trial)
        if self._now("on_trial_end raises"):
            raise ValueError("the logger is gone")
        if self._now("on_trial_end hangs"):
            time.sleep(600)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        if self._now("exits"):
            raise SystemExit(0)
        if self._now("trial sends SIGTERM after asyncio"):
            signal.set_wakeup_fd(-1)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(600)
        if self._now("trial sends SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(600)
        if self._now("trial hangs in C"):
            ctypes.PyDLL(None).sleep(600)
        return super().run_trial(trial, *args, **kwargs)


def _one_of(marks: Path, times: int) -> bool:
    """Whether this is one of the first calls, in whatever process."""
    marks.mkdir(exist_ok=True)
    for number in range(times):
        try:
            (marks / str(number)).touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def faulty(fn_args: Any) -> TunerFnResult:
    """A worker's own fault, named `fault`, the first `times` times."""
    config = fn_args.custom_config
    fault, marks, times = config["fault"], Path(fn_args.working_dir, "marks"), config.get("times", 1)
    if os.environ["KERASTUNER_TUNER_ID"] != "chief" and fault.startswith("tuner_fn") and _one_of(marks, times):
        if fault == "tuner_fn raises":
            raise OSError("the file server is away")
        if fault == "tuner_fn is interrupted":
            raise KeyboardInterrupt
        if fault == "tuner_fn exits":
            sys.exit("no licence")
        if fault == "tuner_fn hangs":
            time.sleep(600)
        if fault == "tuner_fn hangs in C":
            ctypes.PyDLL(None).sleep(600)  # holds Python's lock all the while
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    oracle = kt.oracles.RandomSearchOracle(max_trials=4, seed=1, hyperparameters=space)
    tuner = _Faulty(fault, marks, times, oracle, directory=fn_args.working_dir, project_name="faulty")
    return TunerFnResult(tuner=tuner, fit_kwargs={"seconds": 0.0})


def crashes_after_a_trial(fn_args: Any) -> TunerFnResult:
    """Workers crash in native code as they start, once a trial has ended."""
    worker = os.environ["KERASTUNER_TUNER_ID"] != "chief"
    if worker and Path(fn_args.working_dir, "ran.log").exists():
        os.kill(os.getpid(), signal.SIGSEGV)
    result = waiting(fn_args)
    result.tuner.on_trial_end = _crashing(result.tuner.on_trial_end)
    return result


def _crashing(on_trial_end: Any) -> Any:
    def end(trial: Any) -> None:
        on_trial_end(trial)
        os.kill(os.getpid(), signal.SIGSEGV)

    return end


# Two forks, a session of its own between them, and nothing that it has inherited: an environment without a word of its
# origin, too. The second has a child in turn, which ignores what can be ignored.
DAEMON = """
import os, signal, sys, time
def note():
    with open(sys.argv[1], "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\\n")
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
for number in range(1, 32):
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_IGN)
if not os.fork():
    os.setsid()
note()
os.closerange(0, 100)
time.sleep(600)
"""


class _Forking(Waiting):
    """Its trials start processes, by the way that `how` names, and write down the numbers of those that are left."""

    def __init__(self, how: str, quick: bool, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._how = how
        self._quick = quick
        self._fork = multiprocessing.get_context("fork")

    def run_trial(self, trial: Any, seconds: float = 0.0, **kwargs: Any) -> float:
        x = super().run_trial(trial, seconds, **kwargs)
        if self._how == "pool":
            with self._fork.Pool(2) as pool:
                x = sum(pool.map(abs, [x, x]))
        if self._how == "terminate":
            self._in_thread(self._begin_and_end)
            self._begin_and_end()
        if self._how == "leave":
            self._begin()
            self._in_thread(self._begin)
            self._note(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
            if _one_of(Path(self.directory, "marks"), 1):
                time.sleep(600)
        if self._how == "detach":
            log = str(Path(self.directory, "children.log"))
            subprocess.run([sys.executable, "-c", DAEMON, log], check=True, timeout=60)
            self._note(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
            if not self._quick and _one_of(Path(self.directory, "marks"), 1):
                time.sleep(600)
        return x

    def _begin(self) -> Any:
        child = self._fork.Process(target=time.sleep, args=(600,), daemon=True)
        child.start()
        assert child.pid is not None
        self._note(child.pid)
        return child

    def _begin_and_end(self) -> None:
        child = self._begin()
        child.terminate()
        child.join(60)
        assert child.exitcode == -signal.SIGTERM, f"terminate() had no effect: {child.exitcode}"

    def _in_thread(self, call: Any) -> None:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    def _note(self, pid: int) -> None:
        with Path(self.directory, "children.log").open("a", encoding="utf-8") as file:
            file.write(f"{pid}\n")


def forking(fn_args: Any) -> TunerFnResult:
    """Trials that start processes; with `how` "leave" or "detach" the first of them never ends, unless `quick`."""
    config = fn_args.custom_config
    space = kt.HyperParameters()
    space.Float("x", -2.0, 2.0)
    oracle = kt.oracles.RandomSearchOracle(max_trials=3, seed=1, hyperparameters=space)
    tuner = _Forking(
        config["how"], config.get("quick", False), oracle, directory=fn_args.working_dir, project_name="forking"
    )
    return TunerFnResult(tuner=tuner, fit_kwargs={"seconds": 0.2})
