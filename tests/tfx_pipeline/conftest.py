"""One real run of the whole pipeline, which the tests of its results share.

Tests that use it belong to the xdist group "pipeline", so that one process runs them all and the run happens once.
"""

from __future__ import annotations

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
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The directory of the shared run; a test may add runs to it."""
    return Home(tmp_path_factory.mktemp("pipeline") / "runs")


@pytest.fixture(scope="session")
def first_run(home: Home) -> Finished:
    """The shared run, named "first": small, on the local engine, by the command line."""
    finished = home.call()
    assert finished.code == 0, finished.output
    return finished
