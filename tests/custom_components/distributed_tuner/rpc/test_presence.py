"""Whether a search is served is told by its chief's answer, and by nothing else that may listen there."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.rpc import presence
from custom_components.distributed_tuner.rpc.presence import Presence
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here


@pytest.fixture
def directory(tmp_path: Path) -> SearchDir:
    return SearchDir(tmp_path)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody who takes connections and never says a word, as a process that is suspended."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


def says(directory: SearchDir, **values: Any) -> None:
    directory.chief.write_text(json.dumps(values))


@pytest.mark.timeout(300)
def test_a_chief_that_serves_is_seen_and_not_called_upon(make_search: Callable[..., Any]) -> None:
    made = make_search("waiting")
    oracle = kt.oracles.RandomSearchOracle(kt.Objective("val_loss", "min"), max_trials=1)
    with chief_here.serving(made.directory, oracle, made.token, SearchOptions()) as here:
        assert presence.look(made.directory, 60.0) is Presence.SERVED
        assert here.calls == []
    assert presence.look(made.directory, 0.5) is Presence.ABSENT


@pytest.mark.timeout(120)
@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"address": 3}', '{"address": "127.0.0.1:1"}'])
def test_where_nobody_says_that_he_listens_nobody_serves(directory: SearchDir, text: str | None) -> None:
    if text is not None:
        directory.chief.write_text(text)
    assert presence.look(directory, 0.3) is Presence.ABSENT


@pytest.mark.timeout(120)
def test_another_server_at_the_chiefs_old_port_is_no_chief(directory: SearchDir) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    says(directory, address=f"127.0.0.1:{port}", machine=socket.gethostname())
    assert presence.look(directory, 0.5) is Presence.ABSENT
    server.stop(None)


@pytest.mark.timeout(120)
def test_a_chief_that_does_not_answer_serves_nobody(directory: SearchDir, listener: socket.socket) -> None:
    says(directory, address=f"127.0.0.1:{listener.getsockname()[1]}", machine=socket.gethostname())
    assert presence.look(directory, 0.5) is Presence.ABSENT


@pytest.mark.timeout(120)
@pytest.mark.parametrize("where", [{"address": "127.0.0.1:1", "machine": "elsewhere"}, {"address": "0.0.0.0:1"}])
def test_a_chief_on_another_machine_or_in_a_pod_cannot_be_told(directory: SearchDir, where: dict[str, str]) -> None:
    says(directory, **where)
    assert presence.look(directory, 0.3) is Presence.UNKNOWN
