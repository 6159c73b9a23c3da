"""One real run of the whole pipeline, which the tests of its results share.

It happens once, however many processes share the tests: the first that needs it makes it, the others wait.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tfx_pipeline.home import Finished, Home, wait_for


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Home]:
    """An empty directory of runs; what still runs there at the end is ended and fails the test."""
    home = Home(tmp_path / "runs")
    yield home
    left = [] if wait_for(lambda: not home.processes(), 5) else home.processes()
    for process in left:
        process.kill()
    assert not left, f"left behind: {left}"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Home:
    """The directory of the shared run; tests that touch it use the fixture `alone`."""
    base = tmp_path_factory.getbasetemp()
    return Home((base if worker_id == "master" else base.parent) / "pipeline" / "runs")


@pytest.fixture(scope="session")
def first_run(home: Home) -> Finished:
    """The shared run, named "first": small, on the local engine, by the command line. It leaves no process behind."""
    with home.alone():
        stored = home.directory.with_name("first.json")
        if not stored.exists():
            finished = home.call()
            assert not home.processes()
            stored.write_text(json.dumps(dataclasses.asdict(finished)), encoding="utf-8")
        finished = Finished(**json.loads(stored.read_text(encoding="utf-8")))
    assert finished.code == 0, finished.output
    return finished


@pytest.fixture
def alone(home: Home, first_run: Finished) -> Iterator[None]:
    """Nothing else runs in the shared directory meanwhile, whatever other test processes do."""
    with home.alone():
        yield
