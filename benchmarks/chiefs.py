"""Chiefs for the oracle benchmark, each a process of its own: this build's, an earlier build's, keras-tuner's."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from benchmarks.run import ROOT
from custom_components.distributed_tuner.host import files

OURS = "ours"
STOCK = "stock"

_START_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Server:
    """A chief that serves at `address` (`host:port`)."""

    address: str
    token: str
    pid: int

    def memory_mib(self) -> float:
        """Its resident memory, MiB."""
        return psutil.Process(self.pid).memory_info().rss / 2**20

    def cpu_seconds(self) -> float:
        """The processor time that it has taken so far."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system


@contextlib.contextmanager
def serving(which: str, kind: str, max_trials: int) -> Iterator[Server]:
    """Starts a chief of this build, waits until it serves, and ends it; for the rest see `starting`."""
    with starting(which, kind, max_trials) as wait:
        yield wait()


@contextlib.contextmanager
def starting(which: str, kind: str, max_trials: int, tree: Path = ROOT) -> Iterator[Callable[[], Server]]:
    """Starts a chief, and ends it.

    Args:
      which: `OURS` or `STOCK`.
      kind: its oracle, see `oracle_server.oracle`.
      max_trials: of its search.
      tree: the build whose code it runs.

    Returns:
      What waits until it serves. Raises RuntimeError if it does not; the message holds the end of its log.
    """
    token = secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
        root = Path(folder)
        port = _free_port()
        command = [sys.executable, "-m", "benchmarks.oracle_server", which, folder, kind, str(max_trials)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "KERASTUNER_ORACLE_PORT": str(port),
            "KERASTUNER_TUNER_ID": "chief",
        }
        log = root / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment, cwd=tree
            )
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(token.encode() + b"\n")
                process.stdin.close()
            yield lambda: Server(_wait_until_serving(which, root, port, process, log), token, process.pid)
        finally:
            # Nobody needs what it would write in the end: ours a file for each trial.
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
        return port


def _wait_until_serving(which: str, root: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if which == OURS:
            data = files.read_json(root / "chief.json")
            if data is not None:
                return str(data["address"])
        else:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1.0):
                return f"127.0.0.1:{port}"
        time.sleep(0.05)
    raise RuntimeError(f"the {which} chief does not serve:\n{files.tail(log)}")
