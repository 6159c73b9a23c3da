"""Sends heartbeats as a worker does, from a process of its own (`beside`), and measures how long each takes.

    python -m benchmarks.clients.heartbeats ADDRESS < token

goes on until its input ends, then prints the times as a JSON list, seconds.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Access

_PAUSE_SECONDS = 0.02
_PATIENCE_SECONDS = 10.0
_END_SECONDS = 120.0


def beside(address: str, token: str, work: Callable[[], None]) -> list[float]:
    """How long heartbeats of another process took while `work` went on, seconds."""
    command = [sys.executable, "-m", "benchmarks.clients.heartbeats", address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as beating:
        assert beating.stdin is not None
        beating.stdin.write(token + "\n")
        beating.stdin.flush()
        work()
        times, _ = beating.communicate(timeout=_END_SECONDS)
    return [float(seconds) for seconds in json.loads(times)]


def main() -> None:
    """Measures."""
    over = threading.Event()
    token = sys.stdin.readline().strip()

    def read_to_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=read_to_end, daemon=True).start()
    times: list[float] = []
    with contextlib.closing(ChiefClient(lambda: sys.argv[1], Access(token), _PATIENCE_SECONDS)) as client:
        while not over.wait(_PAUSE_SECONDS):
            began = time.perf_counter()
            client.call("Heartbeat", {"worker": "beating", "trial_id": None})
            times.append(time.perf_counter() - began)
    print(json.dumps(times))


if __name__ == "__main__":
    main()
