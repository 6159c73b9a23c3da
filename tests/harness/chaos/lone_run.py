"""A search in a process of its own, which can be killed: `python -m tests.harness.chaos.lone_run DIRECTORY PLAN`.

Writes `busy` when trials are trained, and what the search ended with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from tests.harness.chaos.running import Plan, Running

if __name__ == "__main__":
    root = Path(sys.argv[1])
    server = ForkServerHandle(root.with_suffix(".fork-server.log"), with_tfx=True)
    running = Running(root, server, Plan(**json.loads(sys.argv[2])))
    if running.wait_until_busy():
        print("busy", flush=True)
    running.join(240.0)
    print(f"{type(running.error).__name__}: {running.error}", flush=True)
    server.close(5.0)
