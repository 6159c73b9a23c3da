"""The processes of a search on this machine."""

from __future__ import annotations

import logging
import queue
import shutil
import signal
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.cluster.base import (
    SILENCED,
    Cluster,
    ClusterError,
    Loss,
    Member,
    MemberState,
    Snapshot,
    exit_reason,
)
from custom_components.distributed_tuner.cluster.local import gpus
from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.errors import ExitCode
from custom_components.distributed_tuner.host import files, variables
from custom_components.distributed_tuner.host.log_bounds import LogBounds
from custom_components.distributed_tuner.rpc import chief_address, credentials
from custom_components.distributed_tuner.rpc.credentials import Access
from custom_components.distributed_tuner.storage import search_dir
from custom_components.distributed_tuner.storage.search_dir import SearchDir, log_file

_LOG = logging.getLogger(__name__)

CHIEF = "chief"

_FINAL = frozenset({int(ExitCode.DONE), int(ExitCode.FATAL), int(ExitCode.CANNOT_STORE)})
# Otherwise a process that dies at its start would be restarted some hundred times a second.
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
# A process that lived this many times its pause did not crash-loop: it was killed, and is restarted at once.
_STEADY_PAUSES = 10.0
_KILL_SECONDS = 5.0


def next_pause(lived_seconds: float, pause_seconds: float) -> float:
    """The backoff before a process is restarted.

    Args:
      lived_seconds: how long the process ran.
      pause_seconds: the backoff before its own start.
    """
    if lived_seconds > _STEADY_PAUSES * pause_seconds:
        return _FIRST_PAUSE_SECONDS
    return min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)


def worker_name(index: int) -> str:
    """The id of the worker with this index."""
    return f"worker-{index}"


class _Process:
    """What the cluster knows of one member."""

    def __init__(self, name: str, request: dict[str, Any], log: str) -> None:
        self.name = name
        self.request = request
        self.log = log
        self.state = MemberState.PENDING
        self.pid: int | None = None
        # How the chief knows its process: by its pid, or the pid of the first process if it has renewed itself.
        self.identity = ""
        self.renewed = False
        self.restarts = 0
        self.silenced = False
        self.exit_code: int | None = None
        self.started = 0.0
        self.pause = 0.0
        self.due: float | None = 0.0

    def to_start(self) -> dict[str, Any]:
        """The request to the fork server."""
        if not self.renewed:
            return self.request
        return {**self.request, "arguments": {**self.request["arguments"], "process": self.identity}}

    def begin(self, pid: int) -> None:
        """Notes that the process has been started."""
        self.pid = pid
        self.identity = self.identity if self.renewed else str(pid)

    def member(self) -> Member:
        return Member(
            name=self.name,
            state=self.state,
            restarts=self.restarts,
            exit_code=self.exit_code,
            reason=self.reason(),
            log=self.log,
            end=self.reason(),
            silenced=self.silenced,
            process="" if self.pid is None else self.identity,
        )

    def reason(self) -> str:
        """The reason of its last end."""
        if self.exit_code is None:
            return ""
        return f"exit code {self.exit_code}: {SILENCED}" if self.silenced else exit_reason(self.exit_code)


class LocalCluster(Cluster):
    """Chief and workers as processes of this machine, forked from one that has already imported what they need.

    Args:
      directory: the directory of the search.
      token: the search's bearer token.
      with_tfx: whether the user's function gets TFX's `FnArgs`.
      server: a fork server that is already running; it stays up when the cluster is closed. Without it the cluster
        starts its own.
      longest_pause_seconds: the limit of the backoff, which doubles each time for a process in a crash loop.
    """

    def __init__(
        self,
        directory: SearchDir,
        token: str,
        *,
        with_tfx: bool = True,
        server: ForkServerHandle | None = None,
        longest_pause_seconds: float = _LONGEST_PAUSE_SECONDS,
    ) -> None:
        self._directory = directory
        # A process writes its log to a file; for a bucket it is uploaded at the end.
        self._scratch: Path | None = None
        self._bounds: LogBounds | None = None
        self._owner = uuid.uuid4().hex
        self._find_chief = chief_address.finder(directory)
        self._token = token
        self._with_tfx = with_tfx
        self._server = server
        self._owns_server = server is None
        self._longest_pause = longest_pause_seconds
        self._processes: dict[str, _Process] = {}
        self._losses: list[Loss] = []
        self._silenced: set[int] = set()  # processes that are being killed because they are silent
        self._address: str | None = None
        self._closed = False

    def start(self, workers: int) -> None:
        """See `Cluster.start`."""
        if self._directory.storage.path is None and self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="search-logs-"))
        if self._server is None:
            self._server = ForkServerHandle(self._log("fork-server"), with_tfx=self._with_tfx)
        if self._bounds is None:
            self._bounds = LogBounds(self._log(CHIEF).parent)
        if self._directory.storage.path is not None:
            # In a bucket, others than the user may read it.
            credentials.store_token(self._directory.token, self._token)
        root = self._directory.url
        if CHIEF not in self._processes:
            self._directory.storage.remove(search_dir.CHIEF)
            arguments = {"root": root, "token": self._token, "port": 0, "fixed_port": False, "go_on": True}
            arguments["owner"] = self._owner
            self._add(CHIEF, "chief", arguments, {variables.VISIBLE_GPUS: "-1"})
        for index, environment in enumerate(gpus.deal(gpus.visible(), workers)):
            if worker_name(index) not in self._processes:
                arguments = {"root": root, "token": self._token, "worker": worker_name(index), "share": workers}
                self._add(worker_name(index), "worker", arguments, environment)
        self._start_due()

    def poll(self) -> Snapshot:
        """See `Cluster.poll`."""
        assert self._server is not None
        self._server.check()
        self._take_messages()
        self._start_due()
        losses, self._losses = self._losses, []
        workers = [process.member() for name, process in self._processes.items() if name != CHIEF]
        return Snapshot(self._processes[CHIEF].member(), workers, losses)

    def chief_address(self) -> str | None:
        """See `Cluster.chief_address`. The last known one, if somebody has deleted the file."""
        self._address = self._find_chief() or self._address
        return self._address

    def access(self) -> Access:
        """See `Cluster.access`."""
        return Access(self._token)

    def tail(self, member: str, lines: int = 20) -> str:
        """See `Cluster.tail`."""
        return files.tail(self._log(member), lines)

    def replace(self, member: str) -> None:
        """See `Cluster.replace`."""
        assert self._server is not None
        process = self._processes.get(member)
        if process is not None and process.pid is not None:
            self._silenced.add(process.pid)
            self._server.send({"kill": member, "signal": int(signal.SIGKILL)})

    def pid(self, member: str) -> int | None:
        """The process id of a member, None while it has none."""
        return self._processes[member].pid

    def close(self, *, grace_seconds: float, failed: bool = False) -> None:
        """See `Cluster.close`. Workers end before the chief, which takes back their trials."""
        if self._closed or self._server is None:
            return
        self._closed = True
        now = time.monotonic()
        workers = [name for name in self._processes if name != CHIEF]
        try:
            self._end(workers, int(signal.SIGTERM), now + grace_seconds / 2)
            self._end([CHIEF], int(signal.SIGTERM), now + grace_seconds)
            self._end(list(self._processes), int(signal.SIGKILL), now + grace_seconds + _KILL_SECONDS)
        except ClusterError:
            # The server is gone, and its children with it.
            return
        finally:
            # Workers that joined by hand take this as the end of the run.
            if self._directory.storage.path is not None:
                self._directory.token.unlink(missing_ok=True)
            if self._owns_server:
                self._server.close(_KILL_SECONDS)
            if self._bounds is not None:
                self._bounds.close()
            self._keep_logs()

    def _log(self, name: str) -> Path:
        return self._scratch / f"{name}.log" if self._scratch else self._directory.log(name)

    def _keep_logs(self) -> None:
        if self._scratch is None:
            return
        try:
            for log in self._scratch.glob("*.log"):
                self._directory.storage.write(log_file(log.stem), log.read_bytes())
        except OSError as error:
            _LOG.warning("the logs cannot be kept: %s", error)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _end(self, names: list[str], number: int, until: float) -> None:
        """Sends a signal to those that still run and waits for their end, at most until `until`."""
        assert self._server is not None
        self._take_messages()
        for name in names:
            self._processes[name].due = None
            if self._processes[name].state is MemberState.RUNNING:
                self._server.send({"kill": name, "signal": number})
        while time.monotonic() < until and any(self._processes[name].state is MemberState.RUNNING for name in names):
            self._server.check()
            self._take_messages(wait_seconds=0.05)

    def _add(self, name: str, role: str, arguments: dict[str, Any], environment: dict[str, str]) -> None:
        request = {"start": name, "role": role, "log": str(self._log(name)), "env": environment, "arguments": arguments}
        self._processes[name] = _Process(name, request, self._directory.storage.where(log_file(name)))

    def _start_due(self) -> None:
        assert self._server is not None
        for process in self._processes.values():
            if process.due is not None and process.due <= time.monotonic():
                process.due = None
                process.state, process.started = MemberState.RUNNING, time.monotonic()
                self._server.send(process.to_start())

    def _take_messages(self, wait_seconds: float = 0.0) -> None:
        assert self._server is not None
        while True:
            try:
                message = (
                    self._server.messages.get(timeout=wait_seconds)
                    if wait_seconds
                    else self._server.messages.get_nowait()
                )
            except queue.Empty:
                return
            if "started" in message:
                self._processes[message["started"]].begin(message["pid"])
            elif "ended" in message:
                process = self._processes[message["ended"]]
                self._take_end(process, int(message["code"]), renewed=bool(message.get("renewed")))

    def _take_end(self, process: _Process, code: int, *, renewed: bool) -> None:
        process.renewed = renewed
        if renewed and not self._closed:
            # Not an end: the next process takes its place at once, under the same identity with the chief.
            self._silenced.discard(process.pid or 0)
            process.pid, process.state, process.due = None, MemberState.PENDING, time.monotonic()
            return
        pid, process.pid, process.exit_code = process.pid, None, code
        process.silenced = pid in self._silenced
        self._silenced.discard(pid or 0)
        if code in _FINAL:
            process.state = MemberState.SUCCEEDED if code == ExitCode.DONE else MemberState.FAILED
            return
        process.state = MemberState.PENDING
        if process.name != CHIEF:
            told = code == ExitCode.PREEMPTED
            self._losses.append(Loss(process.name, process.reason(), process.identity, fault=not told))
        if self._closed:
            return
        now = time.monotonic()
        process.pause = min(next_pause(now - process.started, process.pause), self._longest_pause)
        process.due = now + process.pause
        process.restarts += 1
        if process.name == CHIEF:
            # A restarted chief resumes the same attempt, if possible at the address that its workers know.
            address = self.chief_address()
            if address is not None:
                process.request["arguments"]["go_on"] = False
                process.request["arguments"]["port"] = int(address.rsplit(":", 1)[1])
