"""Where the chief listens."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path

import pytest

from custom_components.distributed_tuner.rpc import chief_address
from custom_components.distributed_tuner.storage.gcs import GcsStorage
from custom_components.distributed_tuner.storage.search_dir import CHIEF, SearchDir
from tests.custom_components.distributed_tuner.chief_here import wait_for
from tests.harness.gcs.fixtures import Gcs
from tests.harness.gcs.server import Fault


def say(directory: SearchDir, address: str) -> None:
    directory.storage.write(CHIEF, json.dumps({"address": address}).encode())


def test_on_this_machine_a_new_address_is_known_at_once(tmp_path: Path) -> None:
    directory = SearchDir(tmp_path)
    find = chief_address.finder(directory)
    assert find() is None
    for address in ("127.0.0.1:1", "127.0.0.1:2"):
        say(directory, address)
        assert find() == address


def test_in_a_bucket_a_new_address_is_known_soon_and_nobody_waits_for_it(
    gcs: Gcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.server.url)
    directory = SearchDir(GcsStorage(f"{gcs.url}/search", 1.0))
    find = chief_address.finder(directory)
    assert find() is None
    for address in ("127.0.0.1:1", "127.0.0.1:2"):
        say(directory, address)
        wait_for(lambda address=address: find() == address, "the address")  # type: ignore[misc]
    before = len(gcs.server.requests)
    assert {find() for _ in range(1000)} == {"127.0.0.1:2"}
    assert len(gcs.server.requests) <= before + 1

    # A bucket that is away, or does not answer, holds up nobody.
    gcs.server.faults[:] = [Fault("GET", times=1000, status=HTTPStatus.SERVICE_UNAVAILABLE, seconds=0.2)]
    wait_for(lambda: (find(), gcs.server.struck >= 5)[1], "reads that fail")
    assert {find() for _ in range(100)} == {"127.0.0.1:2"}
    gcs.server.faults.clear()
    say(directory, "127.0.0.1:3")
    wait_for(lambda: find() == "127.0.0.1:3", "the address")
