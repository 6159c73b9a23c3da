"""A fork server for all searches of a test process, and a way to run a search on it."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.local.cluster import LocalCluster
from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Access
from custom_components.distributed_tuner.search import run
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner.guests import Guests
from tests.harness.gcs.fixtures import gcs

__all__ = ["gcs"]

# Chief and workers import the tests' tuner functions by the name `user_tuners`.
sys.path.append(str(Path(__file__).parent))


class Search:
    """A search that a test is about to run, and its cluster while it runs."""

    def __init__(
        self,
        root: Path,
        server: ForkServerHandle,
        function: str,
        config: dict[str, Any] | None = None,
        options: SearchOptions | None = None,
    ) -> None:
        self.directory = SearchDir(root)
        self.directory.create()
        self.token = secrets.token_urlsafe(16)
        self.server = server
        self.spec = SearchSpec(
            name=function,
            inputs="",
            exec_properties={
                "tuner_fn": function if "." in function else f"user_tuners.{function}",
                "custom_config": json.dumps(config or {}),
            },
            options=options or SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0),
        )
        self.cluster = LocalCluster(self.directory, self.token, server=server)
        self.records: list[SearchRecord] = []
        self.alive = 0

    def run(self, workers: int = 2, watch: Callable[[Search, SearchRecord], None] | None = None) -> run.Found:
        """Runs to the end; `watch` sees every record that differs from the last."""

        def look(record: SearchRecord, now: float, alive: int) -> None:
            self.alive = alive
            if not self.records or self.records[-1] != record:
                self.records.append(record)
            if watch is not None:
                watch(self, record)

        return run.run(self.spec, self.directory, self.cluster, workers=workers, watch=look)

    def stop(self) -> None:
        """Ends the running search with what there is."""
        with contextlib.closing(ChiefClient(self.directory.read_address, Access(self.token), 60.0)) as client:
            client.call("Stop", {"reason": "seen enough"})


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServerHandle]:
    """Imports what chief and workers need once for all tests of this process."""
    server = ForkServerHandle(tmp_path_factory.mktemp("fork-server") / "log", with_tfx=True)
    yield server
    server.close(10.0)


@pytest.fixture(scope="session")
def guest_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServerHandle]:
    """Starts workers that are no cluster's."""
    server = ForkServerHandle(tmp_path_factory.mktemp("guest-server") / "log", with_tfx=True)
    yield server
    server.close(10.0)


@pytest.fixture
def guests(guest_server: ForkServerHandle) -> Iterator[Guests]:
    """Workers beside those of a search's cluster."""
    made = Guests(guest_server)
    yield made
    made.kill_all()


@pytest.fixture
def make_search(tmp_path: Path, fork_server: ForkServerHandle) -> Callable[..., Search]:
    """Makes searches in one directory, so that a second one goes on with the first."""

    def make(function: str, config: dict[str, Any] | None = None, options: SearchOptions | None = None) -> Search:
        return Search(tmp_path / "search", fork_server, function, config, options)

    return make
