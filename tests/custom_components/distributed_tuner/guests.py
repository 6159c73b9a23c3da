"""Workers that join a search by themselves: no cluster knows of them, and nobody starts them again."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import time

from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.storage.search_dir import SearchDir

_SECONDS = 120.0


class Guests:
    """The guests of one test."""

    def __init__(self, server: ForkServerHandle) -> None:
        self._server = server
        self._pids: dict[str, int] = {}
        self._codes: dict[str, int] = {}

    def start(self, name: str, directory: SearchDir, token: str, *, worker: str = "") -> None:
        """Starts a process of the search in `directory`, as the worker of that name or of another one."""
        arguments = {"root": str(directory.root), "token": token, "worker": worker or name, "share": 2}
        log = str(directory.log(name))
        self._server.send({"start": name, "role": "worker", "log": log, "env": {}, "arguments": arguments})

    def tell(self, name: str, number: signal.Signals) -> None:
        """Sends the guest a signal."""
        os.kill(self._wait(self._pids, name), number)

    def exit_code(self, name: str) -> int:
        """Waits for the guest's end; 128 + n is signal n."""
        return self._wait(self._codes, name)

    def kill_all(self) -> None:
        """Ends those that still run."""
        for name, pid in self._pids.items():
            if name not in self._codes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self.exit_code(name)

    def _wait(self, known: dict[str, int], name: str) -> int:
        deadline = time.monotonic() + _SECONDS
        while name not in known:
            try:
                message = self._server.messages.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{name} was not heard of for {_SECONDS:g} s") from None
            if "started" in message:
                self._pids[message["started"]] = message["pid"]
            elif "ended" in message:
                self._codes[message["ended"]] = message["code"]
        return known[name]
