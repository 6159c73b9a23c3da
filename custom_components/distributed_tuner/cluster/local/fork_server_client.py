"""The client side of a fork server; see `fork_server` for the protocol."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.cluster.base import ClusterError, exit_reason
from custom_components.distributed_tuner.host import files


class ForkServerHandle:
    """The client side of a fork server; see `fork_server` for the protocol."""

    def __init__(self, log: Path, *, with_tfx: bool) -> None:
        self._log = log
        command = [sys.executable, "-m", "custom_components.distributed_tuner.process.fork_server"]
        # What the caller can import, chief and workers can: the user's module may be on a path that the caller added.
        path = os.pathsep.join([str(Path(__file__).resolve().parents[3]), *filter(None, sys.path)])
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command + (["--tfx"] if with_tfx else []),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                # In a session of its own: ctrl-C at the terminal is for the user's program, which then closes this one.
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "1"},
            )
        self.messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="fork-server", daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        """Sends one request.

        Raises:
          ClusterError: the server is gone.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise ClusterError(self._obituary()) from error

    def check(self) -> None:
        """Raises ClusterError if the server is gone."""
        if self._process.poll() is not None:
            raise ClusterError(self._obituary())

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self._process.poll() is None

    def close(self, grace_seconds: float) -> None:
        """Ends the server and its children; kills them after `grace_seconds`."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its children have asked the kernel to be killed with it
            self._process.wait()

    def _obituary(self) -> str:
        code = self._process.poll()
        return (
            f"the process that starts chief and workers ended ({exit_reason(code if code is not None else 1)}); "
            f"its log is {self._log}\n{files.tail(self._log)}"
        )

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.messages.put(json.loads(line))
