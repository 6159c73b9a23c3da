"""A shell in which a plain keras-tuner script was joined to a search starts searches as any other does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.errors import ExitCode
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.oracle import environment
from custom_components.distributed_tuner.process import main
from custom_components.distributed_tuner.record.record import TrialStatus
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner.conftest import Search

CHIEF = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": "1"}
EXPORTED = {
    "no id": CHIEF,
    "of a script": {**CHIEF, "KERASTUNER_TUNER_ID": "plain-1"},
    "of keras-tuner's chief": {**CHIEF, "KERASTUNER_TUNER_ID": "chief"},
}


@pytest.fixture
def exported(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What somebody exported."""
    for name in EXPORTED["of a script"]:
        monkeypatch.delenv(name, raising=False)
    variables = EXPORTED[request.param]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def seen() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("KERASTUNER_")}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("exported", EXPORTED, indirect=True)
def test_a_search_works_for_its_own_chief(tmp_path: Path, exported: dict[str, str]) -> None:
    options = SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, start_seconds=20.0)
    server = ForkServerHandle(tmp_path / "fork.log", with_tfx=True)
    try:
        found = Search(tmp_path / "search", server, "waiting", {"max_trials": 2, "seconds": 0.0}, options).run(
            workers=1
        )
    finally:
        server.close(10.0)
    assert (found.error, found.record.stop_reason) == (None, None)
    assert found.record.count(TrialStatus.COMPLETED) == 2


@pytest.mark.parametrize("exported", EXPORTED, indirect=True)
def test_while_a_tuner_is_built_it_has_its_own_id_and_no_chief(exported: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="of the user's"), environment.tuner_id("worker-0"):
        assert seen() == {environment.TUNER_ID: "worker-0"}
        raise ValueError("an error of the user's")
    assert seen() == exported


@pytest.mark.parametrize("exported", EXPORTED, indirect=True)
@pytest.mark.parametrize("role", ["chief", "worker"])
def test_chief_and_worker_begin_without_them(tmp_path: Path, exported: dict[str, str], role: str) -> None:
    directory = SearchDir(tmp_path / "search")
    directory.create()
    directory.spec.write_text("nonsense")
    if role == "chief":
        code = main.run_chief(directory.root, "token", go_on=False)
    else:
        code = main.run_worker(directory.root, "worker-0", "token")
    assert (code, seen()) == (ExitCode.FATAL, {})
