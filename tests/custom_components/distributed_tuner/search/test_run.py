"""Whole searches with real processes on this machine."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import signal
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.local.cluster import LocalCluster
from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import costs, summary, top_n
from custom_components.distributed_tuner.record.costs import Price
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.search import run


def runs(root: Path) -> collections.Counter[str]:
    """How often each trial was started, by what the trials themselves wrote down."""
    log = root / "ran.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return collections.Counter(line.split()[0] for line in lines)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband", "grid"])
def test_each_algorithm_finds_distinct_configurations(make_search: Callable[..., Any], algorithm: str) -> None:
    found = make_search("models", {"algorithm": algorithm, "max_trials": 4, "epochs": 1}).run()
    best = top_n.choose(found.record, 2)
    assert len({trial.configuration for trial in best}) == 2
    assert best[0].score is not None and best[1].score is not None and best[0].score <= best[1].score
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) >= 4
    assert set(found.trials) == {trial.trial_id for trial in found.record.trials}
    assert all(trial.epochs >= 1 for trial in found.record.trials)
    assert not any(name.startswith("tuner/") for row in top_n.results(found.record) for name in row)


def test_workers_that_wait_for_the_space_to_be_revealed_search_it_then(make_search: Callable[..., Any]) -> None:
    found = make_search("revealing", {"max_trials": 6, "seconds": 0.5}).run()
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 6
    assert found.record.stop_reason is None
    assert len({trial.stays[-1].worker for trial in found.record.trials}) > 1
    assert [trial.trial_id for trial in found.record.trials if "x" not in trial.hyperparameters] == []


def test_state_on_disk_is_keras_tuners(make_search: Callable[..., Any]) -> None:
    made = make_search("waiting", {"max_trials": 3})
    found = made.run()
    project = made.directory.root / "waiting"
    oracle = json.loads((project / "oracle.json").read_text())
    assert sorted(oracle["end_order"]) == sorted(trial.trial_id for trial in found.record.trials)
    for trial in found.record.trials:
        stored = json.loads((project / f"trial_{trial.trial_id}" / "trial.json").read_text())
        assert (stored["status"], stored["score"]) == ("COMPLETED", trial.score)


def test_a_finished_search_runs_nothing_again(make_search: Callable[..., Any]) -> None:
    made = make_search("waiting", {"max_trials": 4})
    first = made.run()
    second = make_search("waiting", {"max_trials": 4}).run()
    assert [t.score for t in second.record.trials] == [t.score for t in first.record.trials]
    assert set(runs(made.directory.root).values()) == {1}


def test_a_finished_search_with_conditional_hyperparameters_is_found_again(make_search: Callable[..., Any]) -> None:
    first: run.Found = make_search("models", {"max_trials": 3, "epochs": 1}).run()
    again: run.Found = make_search("models", {"max_trials": 3, "epochs": 1}).run()
    assert again.record == first.record and again.trials == first.trials


@pytest.mark.timeout(300)
def test_a_search_whose_code_has_changed_does_not_go_on(make_search: Callable[..., Any]) -> None:
    made = make_search("models", {"max_trials": 2, "epochs": 1})
    first: run.Found = made.run()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"objective": ["loss", "max"]}, "objective: val_loss (min) → loss (max)"),
        ({"algorithm": "grid"}, "algorithm: RandomSearchOracle → GridSearchOracle"),
        ({"most_units": 64}, "hyperparameter units: Int("),
    ]
    for change, words in changes:
        with pytest.raises(SearchError) as refused:
            make_search("models", {"max_trials": 3, "epochs": 1, **change}).run()
        assert words in str(refused.value) and "another run id" in str(refused.value)
        assert "Traceback" not in str(refused.value)
    again: run.Found = make_search("models", {"max_trials": 2, "epochs": 1}).run()
    assert again.record.trials == first.record.trials


def test_killed_worker_is_replaced_and_its_trial_goes_on(make_search: Callable[..., Any]) -> None:
    killed: list[str] = []

    def kill_once(running: Any, record: SearchRecord) -> None:
        held = [t for t in record.trials if t.status is TrialStatus.RUNNING and t.stays[-1].worker == "worker-0"]
        pid = running.cluster.pid("worker-0")
        if held and pid and not killed and runs(running.directory.root)[held[0].trial_id]:
            killed.append(held[0].trial_id)
            os.kill(pid, signal.SIGKILL)

    made = make_search("waiting", {"max_trials": 4, "seconds": 2.0})
    found = made.run(watch=kill_once)
    assert found.record.count(TrialStatus.COMPLETED) == 4
    (lost,) = [t for t in found.record.trials if any(s.outcome is Outcome.LOST for s in t.stays)]
    assert lost.trial_id == killed[0]
    assert runs(made.directory.root)[lost.trial_id] == 2
    assert sum(runs(made.directory.root).values()) == 5


def test_sigterm_gives_the_trial_back_at_once(make_search: Callable[..., Any]) -> None:
    told: list[str] = []

    def tell_once(running: Any, record: SearchRecord) -> None:
        held = [t for t in record.trials if t.status is TrialStatus.RUNNING and t.stays[-1].worker == "worker-0"]
        pid = running.cluster.pid("worker-0")
        if held and pid and not told:
            told.append(held[0].trial_id)
            os.kill(pid, signal.SIGTERM)

    found = make_search("waiting", {"max_trials": 4, "seconds": 2.0}).run(watch=tell_once)
    assert found.record.count(TrialStatus.COMPLETED) == 4
    outcomes = [s.outcome for t in found.record.trials for s in t.stays]
    assert outcomes.count(Outcome.RELEASED) == 1 and Outcome.LOST not in outcomes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_chief_comes_back_and_nothing_is_lost_or_run_twice(
    make_search: Callable[..., Any], number: signal.Signals
) -> None:
    kills: list[int] = []

    def kill_thrice(running: Any, record: SearchRecord) -> None:
        pid = running.cluster.pid("chief")
        done = record.count(TrialStatus.COMPLETED)
        if pid and pid not in kills and done >= 2 * len(kills) + 1 and len(kills) < 3:
            kills.append(pid)
            os.kill(pid, number)

    made = make_search("waiting", {"max_trials": 10, "seconds": 0.3})
    found = made.run(watch=kill_thrice)
    assert len(kills) == 3
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 10
    assert set(runs(made.directory.root).values()) == {1}


@pytest.mark.timeout(180)
def test_time_in_which_nobody_ran_is_nobodys(make_search: Callable[..., Any]) -> None:
    class KilledError(Exception):
        """The machine is gone."""

    def kill(running: Any, record: SearchRecord) -> None:
        if runs(running.directory.root):
            for name in ("chief", "worker-0"):
                os.kill(running.cluster.pid(name), signal.SIGKILL)
            raise KilledError

    options = SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, grace_seconds=0.5)
    made = make_search("waiting", {"max_trials": 1, "seconds": 1.0}, options)
    with pytest.raises(KilledError):
        made.run(workers=1, watch=kill)
    killed, night = time.time(), 20.0
    # The night: what passes is what is measured.
    time.sleep(night)
    found = make_search("waiting", {"max_trials": 1, "seconds": 1.0}, options).run(workers=1)
    (trial,) = found.record.trials
    lost, completed = trial.stays
    assert (lost.outcome, completed.outcome) == (Outcome.LOST, Outcome.COMPLETED)
    assert lost.ended is not None and completed.ended is not None
    assert lost.ended <= killed and completed.started >= killed + night
    worked = lost.ended - lost.started + completed.ended - completed.started
    assert worked < found.record.ended - found.record.started - night
    price = {"worker": Price(3600.0)}
    assert costs.total(costs.by_group(found.record, price, time.time())) == pytest.approx(worked)
    assert summary.busy_seconds(trial, time.time()) == pytest.approx(worked)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("raises", ["user_tuners.raises", "no such feature: cheese", "user_tuners.py"]),
        ("exits", ["user_tuners.exits called sys.exit", "no licence", "user_tuners.py"]),
        ("interrupted", ["user_tuners.interrupted raised KeyboardInterrupt", "user_tuners.py"]),
        ("untraceable", ["user_tuners.untraceable raised NameError: name 'factor' is not defined", "user_tuners.py"]),
        ("returns_nothing", ["TunerFnResult", "NoneType"]),
        ("empty_space", ["search space is empty"]),
        ("pattern", ["user_tuners.pattern: the tuner's project folder", "a[b]", "takes such a path for a pattern"]),
    ],
)
def test_a_faulty_tuner_fn_is_told_at_once(make_search: Callable[..., Any], function: str, words: list[str]) -> None:
    with pytest.raises(SearchError) as error:
        make_search(function).run()
    assert all(word in str(error.value) for word in words)


def test_a_search_whose_every_trial_fails_ends_and_says_why(make_search: Callable[..., Any]) -> None:
    found = make_search("failing").run()
    assert found.record.stop_reason is not None
    assert found.record.stop_reason.startswith("3 trials failed in a row; the first: trial ")
    assert "ValueError: cannot train with x=" in found.record.stop_reason
    with pytest.raises(top_n.TooFewTrials, match="cannot train with x="):
        top_n.choose(found.record, 1, found.error)


def test_search_time_limit_keeps_what_was_found(make_search: Callable[..., Any]) -> None:
    options = SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, max_search_seconds=2.0, grace_seconds=2.0)
    found = make_search("waiting", {"max_trials": 1000, "seconds": 0.3}, options).run()
    assert found.record.stop_reason is not None and "max_search_seconds" in found.record.stop_reason
    assert len(top_n.choose(found.record, 2)) == 2


def test_a_stuck_trial_is_ended_and_the_search_goes_on(make_search: Callable[..., Any]) -> None:
    options = SearchOptions(heartbeat_seconds=0.2, lease_seconds=2.0, max_epoch_seconds=2.0, grace_seconds=1.0)
    found = make_search("stuck_once", {"max_trials": 4}, options).run()
    (stuck,) = found.record.failed()
    assert stuck.message is not None and "max_epoch_seconds" in stuck.message
    assert found.record.count(TrialStatus.COMPLETED) == 3


def test_a_trial_that_kills_its_workers_fails_and_the_search_goes_on(make_search: Callable[..., Any]) -> None:
    found = make_search("poisonous", {"max_trials": 4}).run()
    (poisonous,) = found.record.failed()
    assert poisonous.message is not None and "exit code 137" in poisonous.message
    assert found.record.count(TrialStatus.COMPLETED) == 3


def test_a_diverged_trial_fails_with_its_objective_named(make_search: Callable[..., Any]) -> None:
    found = make_search("diverging", {"max_trials": 4}).run()
    words = {t.message.splitlines()[0] for t in found.record.failed() if t.message}
    assert {line.partition(", or")[0] for line in words} == {
        "the objective 'default_objective' was nan at step 0: the training diverged",
        "the objective 'default_objective' was inf at step 0: the training diverged",
    }
    assert found.record.count(TrialStatus.COMPLETED) == 2


def test_no_process_outlives_its_search(make_search: Callable[..., Any]) -> None:
    made = make_search("waiting", {"max_trials": 2})
    before = set(psutil.Process().children(recursive=True))
    made.run()
    left = set(psutil.Process().children(recursive=True)) - before
    assert left == set(), f"only the tests' own fork server should be left, found {left}"


def test_chief_and_workers_go_by_their_names(make_search: Callable[..., Any]) -> None:
    names: dict[str, str] = {}

    def look(running: Any, record: SearchRecord) -> None:
        for member in ("chief", "worker-0"):
            if pid := running.cluster.pid(member):
                names[member] = psutil.Process(pid).name()

    make_search("waiting", {"max_trials": 2, "seconds": 0.5}).run(workers=1, watch=look)
    assert names == {"chief": "chief", "worker-0": "worker-0"}


def test_the_token_is_in_one_file_for_the_user_alone_and_on_no_command_line(make_search: Callable[..., Any]) -> None:
    made = make_search("waiting", {"max_trials": 2, "seconds": 0.5})
    lines: list[str] = []
    files: dict[Path, int] = {}

    def read(running: Any, record: SearchRecord) -> None:
        for path in made.directory.root.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # a file is replaced while it is looked at
                if path.is_file() and made.token.encode() in path.read_bytes():
                    files[path] = stat.S_IMODE(path.stat().st_mode)
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end while it is looked at
                lines.append(" ".join(process.cmdline()) + " ".join(f"{k}={v}" for k, v in process.environ().items()))

    made.run(watch=read)
    assert lines and not any(made.token in line for line in lines)
    assert files == {made.directory.token: 0o600}
    texts = [path.read_bytes() for path in made.directory.root.rglob("*") if path.is_file()]
    assert texts and not any(made.token.encode() in text for text in texts)


@pytest.mark.timeout(240)
def test_nobody_may_read_a_search_whom_the_umask_keeps_out(make_search: Callable[..., Any], tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        made = make_search("models", {"max_trials": 1})
        # Its own fork server, so that chief and worker have the same umask.
        made.cluster = LocalCluster(made.directory, made.token)
        assert made.run(workers=1).record.count(TrialStatus.COMPLETED) == 1
    finally:
        os.umask(before)
    found = list(tmp_path.rglob("*"))
    assert {"search.json", "record.json", "journal", "worker-0.log"} <= {path.name for path in found}
    assert [path for path in found if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("fault", [None, "the training went wrong"])
def test_a_removal_that_fails_neither_takes_the_result_nor_hides_an_earlier_error(
    make_search: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str | None,
) -> None:
    made = make_search("waiting", {"max_trials": 1})
    really = made.cluster.close

    def close(*, grace_seconds: float, failed: bool = False) -> None:
        really(grace_seconds=grace_seconds, failed=failed)
        raise ClusterError("a Job is left; kubectl delete job")

    def watch(running: Any, record: SearchRecord) -> None:
        if fault is not None:
            raise SearchError(fault)

    monkeypatch.setattr(made.cluster, "close", close)
    if fault is None:
        assert made.run(watch=watch).record.count(TrialStatus.COMPLETED) == 1
    else:
        with pytest.raises(SearchError, match=fault):
            made.run(watch=watch)
    assert "a Job is left; kubectl delete job" in caplog.text


@pytest.mark.timeout(180)
def test_a_copy_that_cannot_be_written_is_written_later(make_search: Callable[..., Any]) -> None:
    made = make_search("waiting", {"max_trials": 8, "seconds": 0.5})
    path, states = made.directory.record, list[str]()

    def obstruct(running: Any, record: SearchRecord) -> None:
        log = made.directory.log("chief")
        if not states and record.count(TrialStatus.COMPLETED):
            path.unlink(missing_ok=True)
            path.mkdir()
            states.append("refused")
        elif states == ["refused"] and "record.json and keras-tuner's files cannot be written" in log.read_text():
            path.rmdir()
            states.append("free")

    found = made.run(watch=obstruct)
    assert states == ["refused", "free"]
    assert (found.record.count(TrialStatus.COMPLETED), found.record.stop_reason, found.error) == (8, None, None)
    assert made.directory.read_record().count(TrialStatus.COMPLETED) == 8
    log = made.directory.log("chief").read_text()
    assert log.count("cannot be written") == 1 and "are up to date again" in log


@pytest.mark.timeout(180)
def test_callers_that_say_nothing_do_not_end_the_search(make_search: Callable[..., Any]) -> None:
    made = make_search("few_descriptors", {"max_trials": 6, "seconds": 0.5})
    idle: list[socket.socket] = []

    def crowd(running: Any, record: SearchRecord) -> None:
        address = made.directory.read_address()
        if address is not None and record.count(TrialStatus.RUNNING) and not idle:
            host, _, port = address.rpartition(":")
            idle.extend(socket.create_connection((host, int(port))) for _ in range(400))

    found = made.run(watch=crowd)
    assert len(idle) == 400
    for connection in idle:
        connection.close()
    assert (found.record.count(TrialStatus.COMPLETED), found.record.stop_reason, found.error) == (6, None, None)
    assert all(len(trial.stays) == 1 for trial in found.record.trials)
    assert made.directory.read_record().count(TrialStatus.COMPLETED) == 6
    log = made.directory.log("chief").read_text()
    assert "Too many open files" not in log and "File descriptor limit" not in log, log


def test_a_chief_that_cannot_write_says_where(make_search: Callable[..., Any], tmp_path: Path) -> None:
    made = make_search("waiting")
    made.directory.journal.mkdir()  # stands for a place that may not be written: root may write anywhere else
    with pytest.raises((SearchError, ClusterError), match="journal"):
        made.run()


def _last_line(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-3] + b"~" + content[-2:])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, ["is missing, but", "record.json tells of 2 trials", "Restore it from a copy"]),
        (lambda path: path.write_bytes(b""), ["is empty, but", "record.json tells of 2 trials", "another run id"]),
        (_last_line, ["the stored search is damaged", "Restore the directory"]),
    ],
    ids=["missing", "empty", "last line"],
)
def test_a_search_whose_journal_was_harmed_does_not_start_anew(
    make_search: Callable[..., Any], damage: Callable[[Path], Any], words: list[str]
) -> None:
    made = make_search("waiting", {"max_trials": 2})
    made.run()
    damage(made.directory.journal)
    with pytest.raises(SearchError) as told:
        make_search("waiting", {"max_trials": 2}).run()
    assert all(word in str(told.value) for word in [str(made.directory.journal), *words]), told.value
    assert set(runs(made.directory.root).values()) == {1}


def test_worker_that_cannot_start_is_not_started_for_ever(make_search: Callable[..., Any]) -> None:
    with pytest.raises(SearchError, match=r"died 4 times before any trial began.*exit code 139") as told:
        made = make_search("crashes_in_workers")
        made.run(workers=1)
    stack = str(told.value).partition("Fatal Python error: Segmentation fault")[2]
    assert re.search(r'user_tuners\.py", line \d+ in crashes_in_workers', stack), str(told.value)
    assert made.directory.log("worker-0").exists()


def test_a_worker_that_cannot_even_begin_is_told_at_once(make_search: Callable[..., Any]) -> None:
    with pytest.raises(SearchError, match=r"worker-0 cannot start: exit code 1"):
        make_search("leaves_workers", {"code": 1}).run(workers=1)


def test_a_step_that_is_told_to_stop_ends_its_search(make_search: Callable[..., Any]) -> None:
    made = make_search("waiting", {"max_trials": 100, "seconds": 0.5})

    def stop(running: Any, record: SearchRecord) -> None:
        if record.count(TrialStatus.RUNNING):
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), run.cancellable():
            made.run(watch=stop)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert made.cluster.pid("chief") is None and made.cluster.pid("worker-0") is None
        # Somebody else's handler is left alone.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with run.cancellable():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_found_is_complete_for_the_outputs(make_search: Callable[..., Any]) -> None:
    found: run.Found = make_search("waiting", {"max_trials": 3}).run()
    config = top_n.without_internals(found.trials[top_n.choose(found.record, 1)[0].trial_id]["hyperparameters"])
    assert set(config["values"]) == {"x"} and [entry["config"]["name"] for entry in config["space"]] == ["x"]
