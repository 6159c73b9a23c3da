"""How many connections there may be."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from model_server.descriptors import MOST_CONNECTIONS, RESERVE, share


@pytest.mark.parametrize(
    ("limit", "in_use", "each"),
    [
        (resource.RLIM_INFINITY, 20, MOST_CONNECTIONS),
        (1_000_000, 20, MOST_CONNECTIONS),
        (1024, 24, (1000 - RESERVE) // 2),
        (64, 20, 16),
    ],
)
def test_two_protocols_share_what_the_rest_leaves(limit: int, in_use: int, each: int) -> None:
    assert share(limit, in_use) == each


def test_the_soft_limit_becomes_the_hard_one() -> None:
    script = """if True:
        import resource
        from model_server import descriptors
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
        before = descriptors.connections_each()
        descriptors.raise_limit()
        print(resource.getrlimit(resource.RLIMIT_NOFILE), before < descriptors.connections_each())
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "(300, 300) True\n"
