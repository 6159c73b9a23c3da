"""The commands that look at a search, given its name on Kubernetes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from custom_components.distributed_tuner.chief.record_file import RecordFile
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import DIRECTORY_ANNOTATION
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner.cli.test_kubernetes import items, run
from tests.custom_components.distributed_tuner.cluster.kube.api_server import Answer, refuses, says
from tests.custom_components.distributed_tuner.cluster.kube.things import SEARCH, job, pod
from tests.custom_components.distributed_tuner.records import search, trial

LINE = (
    "2026-01-01 10:00:20,456 I custom_components.distributed_tuner.record.progress_log: progress: 1 of 2 trials done\n"
)


def there(directory: str) -> list[Answer]:
    """A chief and a worker; then comes the chief's log."""
    chief, spot = job(None), job("spot")
    chief["metadata"]["annotations"] = {DIRECTORY_ANNOTATION: directory}
    pods = [pod(chief), pod(spot, 0, "Pending", waiting={"reason": "ContainerCreating"})]
    return [items(chief, spot), items(*pods), says(chief)]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_search_whose_directory_is_elsewhere_is_told_by_its_chiefs_log(monkeypatch: pytest.MonkeyPatch) -> None:
    result, requests = run(monkeypatch, ["status", SEARCH], *there("/nowhere/x"), says("serving\n" + LINE + "more\n"))
    assert result.exit_code == 0 and result.output.splitlines() == [
        f"{SEARCH} (by its chief's log, as of 2026-01-01 10:00:20 there): 1 of 2 trials done",
        "chief: running",
        "spot-0: pending: ContainerCreating",
        "the search directory is /nowhere/x, on a volume of the pods: where that is mounted, `status`, `leaderboard` "
        "and `report` of /nowhere/x tell all",
    ]
    assert {request[0] for request in requests} == {"GET"}


@pytest.mark.parametrize("log", [says("serving\n"), refuses(404, "NotFound", "the node is gone")])
def test_a_chief_that_has_told_nothing_is_no_error(monkeypatch: pytest.MonkeyPatch, log: Answer) -> None:
    result, _ = run(monkeypatch, ["status", SEARCH], *there("/nowhere/x"), log)
    assert result.exit_code == 0 and "has not told yet" in result.output and "chief: running" in result.output


@pytest.mark.parametrize("command", ["status", "leaderboard", "report"])
def test_a_directory_that_is_mounted_here_too_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    directory = SearchDir(tmp_path / "stored")
    directory.create()
    RecordFile(directory.storage).write(search(trial("1", 2.0, x=1), trial("2", 1.0, x=2)))
    os.utime(directory.record, (100.0, 100.0))
    result, _ = run(monkeypatch, [command, SEARCH], *there(str(directory.root)), says(LINE))
    assert result.exit_code == 0, result.output
    words = {"status": "search (running): 2 of 2 trials done", "leaderboard": "val_loss", "report": "report.html"}
    assert words[command] in result.output
    assert ("chief: running" in result.output) is (command == "status")
    if command == "report":
        page = (tmp_path / "report.html").read_text()
        # Its chief runs, so that it is as of now, however long ago the last change was.
        assert ">running<" in page and "as of 1970" not in page


@pytest.mark.parametrize("command", ["leaderboard", "report"])
def test_what_needs_the_directory_says_where_it_is(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    result, _ = run(monkeypatch, [command, SEARCH], *there("/nowhere/x"), says(LINE))
    assert result.exit_code == 1
    assert "the search directory is /nowhere/x" in result.output and f"`status {SEARCH}`" in result.output


def test_a_name_that_nobody_has_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(monkeypatch, ["status", "nobody"], items())
    assert result.exit_code == 1
    assert "nobody is no folder here" in result.output and "no search nobody runs in namespace ml" in result.output
