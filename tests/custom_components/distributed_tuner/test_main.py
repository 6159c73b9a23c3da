"""The command line looks at searches, running or finished, here or in a bucket, and leaves no trace in them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import filelock
import pytest

from custom_components.distributed_tuner.chief.record_file import RecordFile
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import top_n
from custom_components.distributed_tuner.record.costs import Price
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, Stay, TrialRecord, TrialStatus
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner.records import search, trial
from tests.harness.gcs.fixtures import BUCKET, Gcs
from tests.harness.gcs.server import Fault
from tests.repository import ROOT

# What a chief and its cluster may leave in a search directory, see `search_dir`.
OWN = {
    "search.lock",
    "run.lock",
    "search.json",
    "journal",
    "chief.json",
    "record.json",
    "error.json",
    "logs",
    "waiting",
}


def tool(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the tool as a person does, on a wide terminal, from a folder of the person's own."""
    command = [sys.executable, "-m", "custom_components.distributed_tuner", *arguments]
    root = str(ROOT)
    settings = {**os.environ, "COLUMNS": "200", "PYTHONPATH": root, **(environment or {})}
    return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, timeout=120)


def told(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> str:
    done = tool(*arguments, cwd=cwd, environment=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below `root` with its bytes and the time of its last change."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Where the person is."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A finished search as its chief leaves it, with a failed trial."""
    directory = SearchDir(tmp_path / "stored")
    directory.create()
    failed = trial("3", None, TrialStatus.FAILED, x=3, message="Traceback (most recent call last):\nValueError: bad x")
    trials = (trial("1", 2.0, x=1), trial("2", 1.0, x=2), failed)
    record = search(*trials, ended=9.0, stop_reason="enough", ran_out="no more", notices=("more is better",))
    RecordFile(directory.storage).write(record)
    return directory.root


@pytest.mark.timeout(300)
def test_a_running_search_does_not_notice(make_search: Callable[..., Any], here: Path) -> None:
    outputs: dict[str, str] = {}
    chiefs: set[int] = set()

    def look(running: Any, record: SearchRecord) -> None:
        on_disk = running.directory.read_record()
        if on_disk is not None and on_disk.count(TrialStatus.COMPLETED) and not outputs:
            chiefs.add(running.cluster.pid("chief"))
            for command in ("status", "leaderboard", "report"):
                outputs[command] = told(command, str(running.directory.root), cwd=here)
            chiefs.add(running.cluster.pid("chief"))
            running.stop()

    # More than it comes to before the commands, on a busy machine, are done.
    made = make_search("waiting", {"max_trials": 1000, "seconds": 0.5})
    found = made.run(watch=look)
    assert "(running): " in outputs["status"] and " of 1,000 trials done" in outputs["status"]
    assert "last change" not in outputs["status"]
    assert "default_objective" in outputs["leaderboard"]
    assert ">running<" in (here / "report.html").read_text()
    assert len(chiefs) == 1 and None not in chiefs
    assert found.record.stop_reason == "seen enough"
    assert {stay.outcome.value for each in found.record.trials for stay in each.stays} <= {"completed", "stopped"}
    assert {path.name for path in made.directory.root.iterdir()} <= OWN | {"ran.log"}


@pytest.mark.timeout(300)
def test_a_finished_search_is_read_while_others_hold_its_locks_and_is_left_as_it_was(
    make_search: Callable[..., Any], here: Path
) -> None:
    made = make_search("waiting", {"max_trials": 3})
    found = made.run()
    root = made.directory.root
    with filelock.FileLock(root / "run.lock"), filelock.FileLock(made.directory.lock):
        before = contents(root)
        assert "(ended): 3 of 3 trials done" in told("status", str(root), cwd=here)
        board = told("leaderboard", str(root), cwd=here)
        assert told("report", str(root), "--out", "page.html", cwd=here) == f"report: {here / 'page.html'}\n"
        assert contents(root) == before
    best = [line.split()[1] for line in board.splitlines()[1:4]]
    assert best == [each.trial_id for each in top_n.choose(found.record, 3)]
    assert [path.name for path in here.iterdir()] == ["page.html"]


@pytest.mark.timeout(300)
def test_a_search_that_nobody_serves_is_told_from_one_that_runs(make_search: Callable[..., Any], here: Path) -> None:
    def interrupt(running: Any, record: SearchRecord) -> None:
        if record.count(TrialStatus.COMPLETED):
            raise KeyboardInterrupt

    made = make_search("waiting", {"max_trials": 60, "seconds": 0.5})
    with pytest.raises(KeyboardInterrupt):
        made.run(watch=interrupt)
    before = contents(made.directory.root)
    first, second = told("status", str(made.directory.root), cwd=here).splitlines()
    assert first.startswith("waiting (interrupted): ") and "0 workers" in first and "left" not in first
    assert second.startswith("last change ") and "nobody serves it now" in second and "same run id" in second
    assert contents(made.directory.root) == before


def test_a_search_on_another_machine_may_run_or_not(stored: Path, here: Path) -> None:
    RecordFile(SearchDir(stored).storage).write(search(trial("1", 2.0)))
    SearchDir(stored).chief.write_text('{"address": "127.0.0.1:1", "machine": "elsewhere"}')
    first, second = told("status", str(stored), cwd=here).splitlines()
    assert first.startswith("search (running, or interrupted): ")
    assert second.startswith("last change ") and "not on this machine" in second


def test_the_status_tells_the_cost_where_prices_were_set(stored: Path, here: Path) -> None:
    spec = SearchSpec("s", "", {}, SearchOptions(), {"worker": Price(3600.0, 7200.0)})
    spec.write(SearchDir(stored).storage)
    (line,) = [line for line in told("status", str(stored), cwd=here).splitlines() if line.startswith("cost")]
    assert line == "cost: 6.00, 6.00 less than on demand (worker: 1 worker, 6.0 s with trials, 6.00)"


@pytest.mark.parametrize(
    ("machine", "state"), [(socket.gethostname(), "interrupted"), ("a-pod", "running, or interrupted")]
)
def test_what_nobody_is_seen_to_serve_costs_nothing_after_the_last_change(
    stored: Path, here: Path, machine: str, state: str
) -> None:
    directory = SearchDir(stored)
    SearchSpec("s", "", {}, SearchOptions(), {"worker": Price(3600.0, 7200.0)}).write(directory.storage)
    open_stay = Stay("worker-0", 60.0, None, Outcome.RUNNING)
    cut_off = TrialRecord("2", TrialStatus.RUNNING, {"x": 2}, None, stays=(open_stay,))
    RecordFile(directory.storage).write(search(trial("1", 2.0), cut_off))
    directory.chief.write_text(json.dumps({"address": "127.0.0.1:1", "machine": machine}))
    os.utime(directory.record, (100.0, 100.0))
    lines = told("status", str(stored), cwd=here).splitlines()
    assert lines[0].startswith(f"search ({state}): ")
    # A second of the first trial, and 40 of the one that was running when the record was last written.
    assert lines[-1] == "cost: 41.00, 41.00 less than on demand (worker: 1 worker, 41 s with trials, 41.00)"
    told("report", str(stored), cwd=here)
    page = (here / "report.html").read_text()
    assert "1970-01-01 00:01:40" in page and f">{state}<" in page
    assert "1 min 40 s" in page and "worker: 1 worker, 41 s with trials, 41.00" in page


def test_the_status_names_the_cause_of_a_stop_and_of_each_failure(stored: Path, here: Path) -> None:
    first, *others = told("status", str(stored), cwd=here).splitlines()
    assert first.startswith("search (ended): 2 of 3 trials done, 0 running, 1 failed")
    assert first.endswith("best val_loss 1.0000 (trial 2, lower is better)")
    assert others == ["stopped: enough", "ended early: no more", "note: more is better", "trial 3: ValueError: bad x"]


@pytest.mark.timeout(300)
def test_a_search_in_a_bucket_is_read_as_one_on_the_disk_and_nothing_is_written(
    gcs: Gcs, stored: Path, here: Path
) -> None:
    address = gcs.upload(stored, "runs/search")
    environment = dict(gcs.environment)
    for command in ("status", "leaderboard"):
        assert told(command, address, cwd=here, environment=environment) == told(command, str(stored), cwd=here)
    RecordFile(SearchDir(stored).storage).write(search(trial("1", 2.0)))
    going_on = gcs.upload(stored, "runs/going-on")
    assert re.search(r"\nlast change \d\S* .*ago: ", told("status", going_on, cwd=here, environment=environment))
    told("report", f"{address}/", cwd=here, environment=environment)
    assert "ValueError: bad x" in (here / "report.html").read_text()
    assert {request.method for request in gcs.server.requests} == {"GET"}
    names = [each.name for each in gcs.objects.page(BUCKET, "", "", "", 100).objects]
    assert names == ["runs/going-on/record.json", "runs/search/record.json"]


@pytest.mark.timeout(300)
def test_what_cannot_be_read_is_told_in_words(gcs: Gcs, stored: Path, here: Path) -> None:
    environment = dict(gcs.environment)
    gcs.objects.put(BUCKET, "damaged/record.json", b'{"name": ')
    record = stored / "record.json"
    for address, words in {
        str(here): "holds no search",
        f"{gcs.url}/absent": "holds no search",
        f"{gcs.url}/damaged": "damaged",
        str(record): "cannot be read",
    }.items():
        done = tool("status", address, cwd=here, environment=environment)
        assert done.returncode == 1, done
        assert words in done.stderr and "Traceback" not in done.stderr, done.stderr
    gcs.server.faults[:] = [Fault("GET", times=100, status=HTTPStatus.FORBIDDEN, reason="forbidden")]
    refused = tool("status", f"{gcs.url}/x", cwd=here, environment=environment)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "cannot be read" in refused.stderr and "roles/storage.objectUser" in refused.stderr


def test_a_chiefs_address_that_cannot_be_read_is_told_in_one_line(stored: Path, here: Path) -> None:
    directory = SearchDir(stored)
    directory.chief.mkdir()
    assert "(ended)" in told("status", str(stored), cwd=here), "nobody asks where the chief of an ended search was"
    RecordFile(directory.storage).write(search(trial("1", 2.0)))
    done = tool("status", str(stored), cwd=here)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"error: {stored} cannot be read: ") and "chief.json" in done.stderr


def test_a_terminal_that_claims_to_know_only_ascii_gets_every_character(here: Path) -> None:
    directory = SearchDir(here / "search")
    directory.create()
    values: dict[str, Any] = {"größe": "é✓"}
    RecordFile(directory.storage).write(search(trial("1", 2.0, **values), ended=9.0))
    for command in ("leaderboard", "status", "report"):
        done = told(command, str(directory.root), cwd=here, environment={"PYTHONIOENCODING": "ascii"})
        assert ("größe" in done and "é✓" in done) or command != "leaderboard"


@pytest.mark.parametrize("command", ["status", "leaderboard", "report"])
def test_an_output_that_cannot_be_written_is_told_in_one_line(stored: Path, here: Path, command: str) -> None:
    shell = f'exec "{sys.executable}" -m custom_components.distributed_tuner {command} "{stored}" > /dev/full'
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", shell], cwd=here, env=settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"
