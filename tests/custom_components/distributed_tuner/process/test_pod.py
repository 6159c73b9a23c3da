"""Chief and worker as the containers' programs: real processes, with credentials from a folder."""

from __future__ import annotations

import contextlib
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

import pytest

from custom_components.distributed_tuner.errors import ExitCode
from custom_components.distributed_tuner.host import variables
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.process import pod
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.rpc import credentials
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Credentials
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import RECORD, SearchDir
from tests.custom_components.distributed_tuner.host.test_children import runs
from tests.repository import ROOT

HERE = Path(__file__).parents[1]
SECONDS = 150.0


class Pods:
    """The containers of one search, as processes of this machine."""

    def __init__(self, folder: Path, made: Credentials) -> None:
        self.directory = SearchDir(folder / "search")
        self.directory.create()
        self.made = made
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        for name, files in (("chief", made.chief_files()), ("worker", made.worker_files())):
            (folder / name).mkdir()
            for file, text in files.items():
                (folder / name / file).write_text(text)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = folder / "log"

    def plan(self, function: str, limits: dict[str, Any] | None = None, **config: object) -> None:
        options = SearchOptions(heartbeat_seconds=0.5, lease_seconds=5.0, grace_seconds=5.0, **limits or {})
        properties = {"tuner_fn": f"user_tuners.{function}", "custom_config": json.dumps(config)}
        SearchSpec(function, "", properties, options).write(self.directory.storage)

    def chief(
        self, attempt: str = "one", linger_seconds: float = 600.0, deserted_seconds: float = 600.0
    ) -> subprocess.Popen[bytes]:
        arguments = ["--credentials", str(self.folder / "chief"), "--port", str(self.port), "--attempt", attempt]
        times = ["--lock-seconds", "10", "--linger-seconds", str(linger_seconds)]
        times += ["--deserted-seconds", str(deserted_seconds)]
        return self._start("chief", [*arguments, *times], {})

    def worker(self, index: int = 0, *more: str) -> subprocess.Popen[bytes]:
        arguments = ["--credentials", str(self.folder / "worker"), "--chief", f"localhost:{self.port}"]
        environment = {variables.INDEX: str(index), variables.PROCESS: f"pod-{len(self.processes)}"}
        return self._start("worker", [*arguments, "--group", "spot", *more], environment)

    def _start(self, role: str, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "custom_components.distributed_tuner", role, str(self.directory.root)]
        path = os.pathsep.join([str(ROOT), str(HERE)])
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*command, *arguments], env={**os.environ, "PYTHONPATH": path, **environment}, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def record(self) -> SearchRecord | None:
        return self.directory.read_record()

    def until(self, happened: Callable[[SearchRecord], bool]) -> SearchRecord:
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            record = self.record()
            if record is not None and happened(record):
                return record
            time.sleep(0.1)
        raise AssertionError(f"it did not come to that: {self.record()}\n{self.log.read_text()[-5000:]}")

    def attempt(self) -> str:
        return self.directory.attempt.read_text() if self.directory.attempt.exists() else ""

    def end(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{process.args!r} does not end:\n{self.log.read_text()[-5000:]}") from None


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    made = Pods(tmp_path, credentials.make(["localhost"]))
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


@pytest.mark.timeout(400)
def test_a_search_over_tls_with_a_worker_and_a_chief_that_are_told_to_stop(pods: Pods) -> None:
    pods.plan("waiting", max_trials=4, seconds=1.5)
    chief, worker = pods.chief(), pods.worker(3)
    pods.until(lambda record: any(trial.status is TrialStatus.RUNNING for trial in record.trials))
    worker.send_signal(signal.SIGTERM)
    assert pods.end(worker) == ExitCode.PREEMPTED
    record = pods.until(lambda record: any(stay.outcome is Outcome.RELEASED for t in record.trials for stay in t.stays))
    assert record.trials[0].stays[0].worker == "spot-3"

    # An evicted chief must not look to its Job like one that is done.
    chief.send_signal(signal.SIGTERM)
    assert pods.end(chief) == ExitCode.PREEMPTED
    chief, worker = pods.chief(), pods.worker(3)
    record = pods.until(lambda record: record.ended is not None)
    assert record.count(TrialStatus.COMPLETED) == len(record.trials) == 4
    assert pods.end(worker) == ExitCode.DONE
    assert chief.poll() is None, "it waits for somebody to collect the results"
    text = pods.log.read_text()
    assert pods.made.access.token not in text and "PRIVATE KEY" not in text
    secrets = [pods.made.access.token.encode(), pods.made.server.key]
    files = [path.read_bytes() for path in pods.directory.root.rglob("*") if path.is_file()]
    assert files and not any(secret in file for secret in secrets for file in files)


def starts(log: str) -> int:
    """How often a worker gave way to itself."""
    return log.count("gives way to a fresh one: 2 trials (max_worker_trials=2)")


@pytest.mark.timeout(400)
def test_a_worker_begins_anew_in_its_own_place(pods: Pods) -> None:
    pods.plan("forking", {"max_worker_trials": 2, "max_lost_workers": 1}, how="detach", quick=True)
    pods.chief()
    worker = pods.worker()
    record = pods.until(lambda record: record.ended is not None)
    # Its Job sees one process, which ends well.
    assert pods.end(worker) == ExitCode.DONE
    text = pods.log.read_text()
    assert starts(text) == 1, text[-5000:]
    assert [[stay.outcome for stay in trial.stays] for trial in record.trials] == [[Outcome.COMPLETED]] * 3
    ran = [line.split() for line in (pods.directory.root / "ran.log").read_text().splitlines()]
    assert ran == [[str(number), str(worker.pid)] for number in range(3)]
    # The daemons of the first two trials ended with the program that had started them.
    daemons = [int(line) for line in (pods.directory.root / "children.log").read_text().splitlines()]
    assert len(daemons) == 9 and not any(runs(pid) for pid in daemons[:6])


@pytest.mark.timeout(400)
def test_a_worker_that_is_told_to_stop_while_it_begins_anew_hears_it(pods: Pods) -> None:
    pods.plan("waiting", {"max_worker_trials": 2}, max_trials=4)
    pods.chief()
    worker = pods.worker()
    ends = time.monotonic() + SECONDS
    while not starts(pods.log.read_text()):
        assert time.monotonic() < ends and worker.poll() is None, pods.log.read_text()[-5000:]
        time.sleep(0.001)
    worker.send_signal(signal.SIGTERM)
    # A signal that the new program had no handler for would end it as signals do, or be lost on a pod's first process.
    assert pods.end(worker) == ExitCode.PREEMPTED


@pytest.mark.timeout(400)
def test_a_worker_that_crashes_in_native_code_leaves_its_stack_in_the_log(pods: Pods) -> None:
    pods.plan("crashes_in_workers")
    pods.chief()
    assert pods.end(pods.worker()) == -signal.SIGSEGV
    stack = pods.log.read_text().partition("Fatal Python error: Segmentation fault")[2]
    assert 'user_tuners.py", line' in stack and "in crashes_in_workers" in stack


def test_a_chief_that_nobody_comes_for_ends_and_a_new_attempt_voids_the_old_stop(pods: Pods) -> None:
    pods.plan("waiting", max_trials=3, seconds=2.0)
    chief, worker = pods.chief(linger_seconds=4.0), pods.worker()
    pods.until(lambda record: record.count(TrialStatus.COMPLETED) == 1)
    with contextlib.closing(ChiefClient(lambda: f"localhost:{pods.port}", pods.made.access, SECONDS)) as client:
        client.call("Stop", {"reason": "enough"})
    assert pods.end(worker) == ExitCode.DONE
    assert pods.end(chief) == ExitCode.DONE
    stopped = pods.until(lambda record: record.ended is not None)
    assert stopped.stop_reason == "enough" and len(stopped.trials) < 3
    assert pods.attempt() == "one"

    # The same attempt stays stopped; a new one goes on.
    again, worker = pods.chief(), pods.worker()
    assert pods.end(worker) == ExitCode.DONE
    again.send_signal(signal.SIGTERM)
    assert pods.end(again) == ExitCode.PREEMPTED
    assert pods.until(lambda record: True).trials == stopped.trials
    pods.chief("two")
    pods.worker()
    record = pods.until(lambda record: record.stop_reason is None and record.count(TrialStatus.COMPLETED) == 3)
    assert record.ended is not None
    pods.until(lambda record: pods.attempt() == "two")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("method", ["Status", "Suggest"])
def test_a_chief_ends_when_neither_step_nor_workers_call_it_any_more(pods: Pods, method: str) -> None:
    pods.plan("waiting", max_trials=3)
    chief = pods.chief(deserted_seconds=4.0)
    with contextlib.closing(ChiefClient(lambda: f"localhost:{pods.port}", pods.made.access, SECONDS)) as client:
        for _ in range(8):
            client.call(method, {"revision": None} if method == "Status" else {"worker": "w", "wait_seconds": 0.0})
            time.sleep(1.0)
            assert chief.poll() is None
    assert pods.end(chief) == ExitCode.DONE
    assert "neither step nor workers have called for 4 s" in pods.log.read_text()
    record = pods.until(lambda record: True)
    assert record.ended is None and record.stop_reason is None, "it is gone on with, as after any end of a chief"


def test_a_chief_whose_search_is_over_is_not_deserted_but_lingers(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda process, number: killed.append(number))
    watch = pod._Desertion(pods.directory, "one", 600.0, 5.0)
    for _ in range(20):
        watch._look_who_calls()  # it does not serve yet
    watch.called()
    pods.directory.storage.write(RECORD, json.dumps({"ended": 1.0}).encode())
    watch._look_at_the_end(0.0)
    for _ in range(20):
        watch._look_who_calls()
    assert not killed
    pods.directory.storage.write(RECORD, json.dumps({"ended": None}).encode())
    watch._look_at_the_end(1.0)
    for _ in range(5):
        watch._look_who_calls()
    assert killed == [signal.SIGTERM] and watch.in_vain


@pytest.mark.timeout(200)
def test_a_worker_that_should_have_a_gpu_and_has_none_ends_for_good_with_one_line(pods: Pods) -> None:
    pods.plan("waiting")
    assert pods.end(pods.worker(0, "--gpus", "1")) == ExitCode.FATAL
    told = pods.log.read_text().splitlines()[-1]
    assert "the worker cannot start: group spot asks for GPUs (1 each), and TensorFlow sees none" in told


@pytest.mark.timeout(200)
def test_a_chief_without_credentials_says_so_for_good(pods: Pods) -> None:
    pods.plan("waiting")
    (pods.folder / "chief" / credentials.KEY_FILE).unlink()
    assert pods.end(pods.chief()) == ExitCode.FATAL
    error = pods.directory.read_error()
    assert error is not None and error[0] == "chief" and "tls.key" in error[1] and "run_as_user" in error[1]


def test_a_worker_outside_an_indexed_job_says_so_for_good(pods: Pods, caplog: pytest.LogCaptureFixture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        code = pod.worker(
            pods.directory.root, pods.folder / "worker", address="localhost:1", group="spot", environment={}
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert code is ExitCode.FATAL and "JOB_COMPLETION_INDEX is ''" in caplog.text


def test_a_process_told_to_stop_while_it_still_imports_ends_at_once(pods: Pods) -> None:
    pods.plan("waiting")
    process = pods.chief()
    ends = time.monotonic() + SECONDS
    # SIGTERM is caught from the time that this bit is set; before it would be fatal here, and ignored in a pod.
    caught = 1 << (signal.SIGTERM - 1)
    status = Path(f"/proc/{process.pid}/status")
    while not int(status.read_text().split("SigCgt:")[1].split()[0], 16) & caught:
        assert time.monotonic() < ends and process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert pods.end(process) == ExitCode.PREEMPTED
