"""A part of the suite with fixed seeds; all of it is `make chaos`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from tests.harness.chaos.arena import Arena
from tests.harness.chaos.suite import suite

_SEED = 20
_KILLS = 120  # of which a twentieth falls to each fault below that kills


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    root = tmp_path_factory.mktemp("chaos")
    server = ForkServerHandle(root / "fork-server.log", with_tfx=True)
    yield Arena(root, server, seed=_SEED, small=True)
    server.close(10.0)


# On one test process: they share a fork server and the undisturbed searches.
@pytest.mark.xdist_group("chaos")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [
        "kill-random",
        "kill-hyperband",
        "worker-hangs",
        "resumed-worker-hangs",
        "network-resets",
        "full-disk",
        "full-disk-of-workers",
        "state",
        "clock",
        "flaws",
        "taken-port",
        "two-chiefs",
    ],
)
def test_the_search_keeps_its_promises_under(name: str, arena: Arena) -> None:
    result = suite(_KILLS)[name](arena)
    assert result.passed, "\n".join([str(result), *result.problems])
