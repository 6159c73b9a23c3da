"""What a tuner in a worker gets from what it has for its oracle, and what it is refused."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import keras_tuner as kt
import pytest
import self_ending_tuners
from self_ending_tuners import AT_LAST, KINDS

from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.record.record import TrialRecord, TrialStatus
from custom_components.distributed_tuner.worker import remote_oracle
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial
from custom_components.distributed_tuner.worker.remote_oracle import RemoteOracle
from tests.custom_components.distributed_tuner.conftest import Search


class Own(kt.oracles.RandomSearchOracle):
    """Has a setting that keras-tuner knows nothing of."""

    patience = 3


@pytest.fixture
def oracle() -> RemoteOracle:
    local = Own(kt.Objective("val_loss", "min"), max_trials=7, seed=5)
    nobody: Any = None
    return RemoteOracle(local, nobody, "worker-0", "1", CurrentTrial(), threading.Event())


def test_settings_are_those_of_the_users_oracle(oracle: RemoteOracle) -> None:
    assert (oracle.objective.name, oracle.max_trials, oracle.seed, oracle.patience) == ("val_loss", 7, 5, 3)


@pytest.mark.parametrize(
    "name", ["trials", "ongoing_trials", "start_order", "end_order", "hyperparameters", "get_state"]
)
def test_what_only_the_chief_knows_is_no_empty_answer(oracle: RemoteOracle, name: str) -> None:
    with pytest.raises(AttributeError, match=rf"oracle\.{name} is with the chief.*get_best_trials"):
        getattr(oracle, name)
    assert not hasattr(oracle, name)


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, kt.engine.trial.Trial]:
    """What keras-tuner alone makes of a trial of each kind."""
    tuner, fit = self_ending_tuners.made(str(tmp_path_factory.mktemp("stock")))
    tuner.search(**fit)
    return {KINDS[int(trial_id)]: trial for trial_id, trial in tuner.oracle.trials.items()}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServerHandle) -> dict[str, tuple[TrialRecord, str]]:
    """(the same trial in a search, what it said)."""
    made = Search(tmp_path_factory.mktemp("ours") / "search", fork_server, "none")
    made.spec = dataclasses.replace(made.spec, exec_properties={"tuner_fn": "self_ending_tuners.tuner"})
    found = made.run(workers=1)
    said = made.directory.log("worker-0").read_text().splitlines()
    return {
        KINDS[int(trial.trial_id)]: (
            trial,
            "\n".join(line for line in said if line.startswith(f"{KINDS[int(trial.trial_id)]}: ")),
        )
        for trial in found.record.trials
    }


# On one test process: both searches take a minute.
@pytest.mark.xdist_group("self-ending")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_that_its_tuner_ends_itself_comes_out_as_in_keras_tuner_alone(
    stock: dict[str, kt.engine.trial.Trial], ours: dict[str, tuple[TrialRecord, str]], kind: str
) -> None:
    expected, (found, said) = stock[kind], ours[kind]
    completed = expected.status == "COMPLETED"
    assert (found.status is TrialStatus.COMPLETED) == completed, (expected.status, found.message)
    if completed:
        assert (found.score, found.best_step) == (expected.score, expected.best_step)
        if kind != "ends only inside":
            assert said == f"{kind}: {expected.score!r} {expected.best_step} {expected.score!r}"
    else:
        assert found.score is None
        status = AT_LAST.get(kind)
        words = f"its tuner ended it with status {status} and gave no reason" if status else expected.message or ""
        told = (found.message or "").splitlines()[-1]
        assert told == words.splitlines()[-1] or kind == "completed without a score"


class Unshowable:
    """A value that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def with_values(values: Any) -> kt.HyperParameters:
    made = kt.HyperParameters()
    made.Int("units", 1, 8)
    made.values = values
    return made


def with_entry(entry: Any) -> kt.HyperParameters:
    made = with_values({"units": 3})
    made._space.append(entry)
    return made


@pytest.mark.parametrize(
    ("hyperparameters", "words"),
    [
        (None, "NoneType, no HyperParameters"),
        ("x", "str, no HyperParameters"),
        (with_values(None), "not what JSON can hold"),
        (with_values([]), "not what JSON can hold"),
        (
            with_values({"units": Unshowable()}),
            "the value Unshowable, which cannot be shown (RuntimeError)",
        ),
        (with_values({"units": "\ud800"}), "'units'"),
        (with_entry("x"), "str"),
        (with_entry(kt.engine.hyperparameters.Float("rate", 0.0, float("inf"))), "'rate'"),
        (with_entry(kt.engine.hyperparameters.Float("rate", float("nan"), 1.0)), "'rate'"),
        (with_entry(kt.engine.hyperparameters.Int("huge", 0, 10**400)), "not such as keras-tuner has"),
    ],
)
def test_hyperparameters_that_no_chief_could_take_are_told_in_the_worker(hyperparameters: Any, words: str) -> None:
    config, fault = remote_oracle._config(hyperparameters)
    assert config is None and fault is not None and words in fault
