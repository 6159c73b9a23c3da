"""How many files a process may have open, and how many of them are left for connections."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from custom_components.distributed_tuner.host import descriptors

INFINITE = resource.RLIM_INFINITY

RAISED = """
import json, resource, sys
from custom_components.distributed_tuner.host import descriptors

resource.setrlimit(resource.RLIMIT_NOFILE, tuple(json.loads(sys.argv[1])))
before = descriptors.connections()
descriptors.raise_limit()
print(json.dumps([*resource.getrlimit(resource.RLIMIT_NOFILE), before < descriptors.connections()]))
"""


@pytest.mark.parametrize(("soft", "hard", "grows"), [(256, 512, True), (256, 256, False)])
def test_the_soft_limit_becomes_the_hard_one(soft: int, hard: int, grows: bool) -> None:
    command = [sys.executable, "-c", RAISED, json.dumps([soft, hard])]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout) == [hard, hard, grows]


def test_connections_leave_descriptors_for_everything_else() -> None:
    assert descriptors.share(1024, 40) == 1024 - 40 - descriptors.RESERVE
    assert descriptors.share(INFINITE, 40) == descriptors.share(1_000_000, 40) == descriptors.MOST_CONNECTIONS
    assert descriptors.share(64, 60) > 0
