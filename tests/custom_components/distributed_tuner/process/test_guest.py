"""A person adds a worker to a running search with one command, and takes it away again with Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras_tuner as kt
import psutil
import pytest

from custom_components.distributed_tuner.chief.record_file import RecordFile
from custom_components.distributed_tuner.errors import ExitCode, SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.process import guest as joining
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, Stay, TrialStatus
from custom_components.distributed_tuner.rpc import credentials
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here
from tests.custom_components.distributed_tuner.records import search, trial
from tests.repository import ROOT

_SECONDS = 120.0


class Joined:
    """Workers that were started with the command `join`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, root: Path | str, *, with_user_code: bool = True) -> None:
        """Gives the command."""
        paths = [ROOT, *([Path(__file__).parents[1]] if with_user_code else [])]
        command = [sys.executable, "-m", "custom_components.distributed_tuner", "join", str(root)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        with (self._folder / f"{len(self.started)}.log").open("wb") as log:
            self.started.append(subprocess.Popen(command, cwd=self._folder, env=environment, stdout=log, stderr=log))

    def output(self, index: int = 0) -> str:
        """What the command has said so far."""
        return (self._folder / f"{index}.log").read_text()

    def exit_code(self, index: int = 0) -> int:
        """Waits for the command's end."""
        return self.started[index].wait(_SECONDS)


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    folder = tmp_path / "joined"
    folder.mkdir()
    made = Joined(folder)
    yield made
    for each in made.started:
        if each.poll() is None:
            each.kill()
            each.wait()


def guest(record: SearchRecord) -> str | None:
    """The guest that runs a trial."""
    stays = [each.stays[-1] for each in record.trials if each.status is TrialStatus.RUNNING]
    return next((stay.worker for stay in stays if stay.worker.startswith("guest-")), None)


def ends(record: SearchRecord) -> list[Stay]:
    """The last stay of each trial."""
    return [each.stays[-1] for each in record.trials if each.stays]


@pytest.mark.timeout(300)
def test_a_worker_joins_and_ctrl_c_gives_its_trial_back(make_search: Callable[..., Any], joined: Joined) -> None:
    seen: list[str] = []
    told: list[str] = []

    def join(running: Any, record: SearchRecord) -> None:
        if not joined.started and record.trials:
            joined.start(running.directory.root)
        name = guest(record)
        if name and not told:
            process = psutil.Process(joined.started[0].pid)
            seen.append(" ".join(process.cmdline()) + " ".join(f"{k}={v}" for k, v in process.environ().items()))
            told.append(name)
            joined.started[0].send_signal(signal.SIGINT)
        if joined.started and joined.started[0].poll() is not None and record.stop_reason is None:
            running.stop()

    made = make_search("waiting", {"max_trials": 1000, "seconds": 2.0})
    found = made.run(workers=1, watch=join)
    assert joined.exit_code() == ExitCode.PREEMPTED, joined.output()
    assert "is given back" in joined.output() and "Traceback" not in joined.output()
    assert found.record.count(TrialStatus.FAILED) == 0
    stays = [stay for each in found.record.trials for stay in each.stays if stay.worker == told[0]]
    assert stays[-1].outcome is Outcome.RELEASED
    assert seen and made.token not in seen[0] and made.token not in joined.output()
    assert not made.directory.token.exists()


@pytest.mark.timeout(300)
def test_a_worker_that_joined_stays_until_the_search_is_over(make_search: Callable[..., Any], joined: Joined) -> None:
    alive: list[int] = []

    def join(running: Any, record: SearchRecord) -> None:
        if not joined.started and record.trials:
            joined.start(running.directory.root)
        if guest(record):
            alive.append(running.alive)
        if record.stop_reason is None and sum(stay.worker.startswith("guest-") for stay in ends(record)) > 1:
            running.stop()

    found = make_search("waiting", {"max_trials": 1000, "seconds": 0.5}).run(workers=1, watch=join)
    assert joined.exit_code() == ExitCode.DONE, joined.output()
    assert {f"guest-{joined.started[0].pid}", "worker-0"} == set(found.record.workers())
    assert joined.output().splitlines()[-1].endswith("the search is over")
    # The first record with the guest's trial may come before the chief counts it among the living.
    assert max(alive) == 2


@pytest.mark.timeout(300)
def test_a_worker_that_joined_begins_anew_in_its_own_place(make_search: Callable[..., Any], joined: Joined) -> None:
    def join(running: Any, record: SearchRecord) -> None:
        if not joined.started and record.trials:
            joined.start(running.directory.root)
        if record.stop_reason is None and sum(stay.worker.startswith("guest-") for stay in ends(record)) > 2:
            running.stop()

    options = SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, max_worker_trials=2, max_lost_workers=1)
    found = make_search("waiting", {"max_trials": 1000, "seconds": 2.0}, options).run(workers=1, watch=join)
    assert joined.exit_code() == ExitCode.DONE, joined.output()
    assert "gives way to a fresh one: 2 trials (max_worker_trials=2)" in joined.output()
    assert {f"guest-{joined.started[0].pid}", "worker-0"} == set(found.record.workers())
    assert "over" in joined.output().splitlines()[-1]


@pytest.mark.timeout(300)
def test_a_worker_that_cannot_import_the_function_leaves_the_search_alone(
    make_search: Callable[..., Any], joined: Joined
) -> None:
    done: list[int] = []

    def join(running: Any, record: SearchRecord) -> None:
        if not joined.started and record.trials:
            joined.start(running.directory.root, with_user_code=False)
        if joined.started and not done and joined.started[0].poll() is not None:
            done.append(record.count(TrialStatus.COMPLETED))
        if done and record.count(TrialStatus.COMPLETED) > done[0] and record.stop_reason is None:
            running.stop()

    found = make_search("waiting", {"max_trials": 1000, "seconds": 0.5}).run(workers=1, watch=join)
    assert joined.exit_code() == ExitCode.FATAL
    assert "user_tuners" in joined.output() and "where the search was started" in joined.output()
    assert found.error is None and found.record.stop_reason == "seen enough"


@pytest.mark.timeout(300)
def test_a_run_that_is_interrupted_takes_its_guests_with_it(make_search: Callable[..., Any], joined: Joined) -> None:
    def interrupt(running: Any, record: SearchRecord) -> None:
        if not joined.started and record.trials:
            joined.start(running.directory.root)
        if guest(record):
            raise KeyboardInterrupt

    made = make_search("waiting", {"max_trials": 60, "seconds": 2.0})
    with pytest.raises(KeyboardInterrupt):
        made.run(workers=1, watch=interrupt)
    assert joined.exit_code() == ExitCode.PREEMPTED, joined.output()
    assert "the run that this worker joined has ended" in joined.output()


@pytest.fixture
def set_up(make_search: Callable[..., Any]) -> Any:
    """A search that was set up, and that nobody runs."""
    made = make_search("waiting")
    made.spec.write(made.directory.storage)
    return made


@pytest.mark.timeout(300)
def test_a_worker_does_not_follow_its_search_into_another_run(set_up: Any, joined: Joined) -> None:
    oracle = kt.oracles.RandomSearchOracle(kt.Objective("val_loss", "min"), max_trials=1)
    directory = set_up.directory
    options = SearchOptions(lease_seconds=600.0)  # the trial that this test holds gets no heartbeats
    credentials.store_token(directory.token, set_up.token)
    with chief_here.serving(directory, oracle, set_up.token, options) as here:
        assert chief_here.ask(here, "a") is not None
        joined.start(directory.root)
        chief_here.wait_for(lambda: here.calls_of(f"guest-{joined.started[0].pid}"), "the guest asks for a trial")
    credentials.store_token(directory.token, "another")
    with chief_here.serving(directory, oracle, "another", options) as here:
        assert joined.exit_code() != ExitCode.DONE
        assert here.calls == []
    assert "the run that this worker joined has ended" in joined.output()
    assert "where the search was started" not in joined.output()


@pytest.mark.timeout(300)
def test_who_may_join_is_told_how_many_work_there(set_up: Any) -> None:
    oracle = kt.oracles.RandomSearchOracle(kt.Objective("val_loss", "min"), max_trials=1)
    directory = set_up.directory
    with chief_here.serving(directory, oracle, set_up.token, SearchOptions()) as here:
        with pytest.raises(SearchError, match="token is not there"):
            joining.admit(directory)
        credentials.store_token(directory.token, "another")
        with pytest.raises(SearchError, match="does not know the token"):
            joining.admit(directory)
        credentials.store_token(directory.token, set_up.token)
        assert joining.admit(directory) == (set_up.token, 0)
        trial_id = chief_here.ask(here, "a")
        assert trial_id is not None and joining.admit(directory) == (set_up.token, 1)
        chief_here.finish(here, "a", trial_id, val_loss=1.0)
        assert chief_here.ask(here, "a") is None
        with pytest.raises(SearchError, match="is over: there is nothing left to do"):
            joining.admit(directory)


@pytest.mark.timeout(300)
def test_where_no_search_runs_the_reason_is_told(set_up: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_PATIENCE_SECONDS", 0.5)
    directory = set_up.directory
    with pytest.raises(SearchError, match="holds no search"):
        joining.admit(SearchDir(tmp_path / "absent"))
    with pytest.raises(SearchError, match=r"no chief answers.*same run id"):
        joining.admit(directory)
    # A run that was killed outright leaves its token behind.
    credentials.store_token(directory.token, set_up.token)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        directory.chief.write_text(json.dumps({"address": f"127.0.0.1:{nobody.getsockname()[1]}"}))
        with pytest.raises(SearchError, match="no chief answers"):
            joining.admit(directory)
    for nonsense in ("nonsense", "", "a b:1", "host:port", "127.0.0.1:"):
        directory.chief.write_text(json.dumps({"address": nonsense}))
        with pytest.raises(SearchError, match="no chief answers"):
            joining.admit(directory)
    directory.chief.write_text(json.dumps({"address": "elsewhere:1"}))
    with pytest.raises(SearchError, match=r"on another machine \(elsewhere:1\).*`scale`"):
        joining.admit(directory)
    directory.chief.write_text(json.dumps({"address": "127.0.0.1:1", "machine": "elsewhere"}))
    with pytest.raises(SearchError, match=r"on another machine \(elsewhere\).*`scale`"):
        joining.admit(directory)
    RecordFile(directory.storage).write(search(trial("0", 1.0), ended=time.time()))
    with pytest.raises(SearchError, match="has ended"):
        joining.admit(directory)


def test_a_token_that_may_not_be_read_says_whose_it_is(set_up: Any) -> None:
    set_up.directory.token.mkdir()  # stands for a file of somebody else's: root may read any
    with pytest.raises(SearchError, match=r"cannot be read.*join as that user"):
        joining.admit(set_up.directory)


def test_a_file_of_the_search_that_cannot_be_read_is_named(set_up: Any) -> None:
    directory = set_up.directory
    directory.chief.mkdir()
    with pytest.raises(SearchError, match=r"cannot be read: .*chief\.json"):
        joining.admit(directory)
    credentials.store_token(directory.token, set_up.token)
    with pytest.raises(SearchError, match=r"cannot be read: .*chief\.json"):
        joining.admit(directory)
    directory.token.unlink()
    directory.record.mkdir()
    with pytest.raises(SearchError, match=r"cannot be read: .*record\.json"):
        joining.admit(directory)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("address", "words"), [(".", "holds no search"), ("gs://bucket/a", "is not on this machine")])
def test_the_command_refuses_in_words(joined: Joined, address: str, words: str) -> None:
    joined.start(address)
    assert joined.exit_code() == 1
    assert words in joined.output() and joined.output().count("\n") == 1
