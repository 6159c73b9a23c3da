"""Whether this machine can run the harness."""

from __future__ import annotations

import platform
import shutil

from tests.harness.cluster.kubernetes import build


def missing() -> list[str]:
    """What this machine lacks, each in one line; empty if it has everything."""
    lacks = []
    if platform.system() != "Linux":
        lacks.append(f"Linux is needed, this is {platform.system()}")
    if shutil.which("ip") is None:
        lacks.append("`ip` is not installed (Debian: apt-get install iproute2): it makes the pods' network")
    if not build.is_built(build.ETCD, build.CONTROL_PLANE):
        problem = build.missing_go()
        if problem:
            lacks.append(problem)
    return lacks
