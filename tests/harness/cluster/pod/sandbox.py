"""A pod's network and its containers' processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.machine.namespaces import BRIDGE, MACHINE
from tests.repository import ROOT


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine, and where the container sees it."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Identity:
    """Who a container's process is, and what it may do."""

    user: int = 0
    group: int = 0
    groups: tuple[int, ...] = ()
    drop_capabilities: bool = False
    no_new_privileges: bool = False
    read_only_root: bool = False


@dataclass(frozen=True)
class Command:
    """What a container runs."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    mounts: Sequence[Mount]
    readable: Sequence[str]
    identity: Identity


class StartError(RuntimeError):
    """A container's process could not be started."""


class Container:
    """A container's process.

    Args:
      process: waits for it.
      pid: its own process id, as seen from here.
    """

    def __init__(self, process: subprocess.Popen[bytes], pid: int) -> None:
        self._process = process
        self._pid = pid

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit status, or None after `seconds`."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else 128 - code

    def signal(self, number: int) -> None:
        """Sends the container's first process a signal, as a container engine does."""
        if self._process.poll() is None:
            try:
                os.kill(self._pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """Ends the container with all its processes."""
        self.signal(signal.SIGKILL)
        self._process.wait()


class Sandbox:
    """The network of a pod, with an address of its own.

    Args:
      hostname: of the pod.
      address: of the pod.
      interface: a name for this machine's end of the pod's link.

    Raises:
      HarnessError: it could not be made.
    """

    def __init__(self, hostname: str, address: str, interface: str) -> None:
        self.address = address
        reading, writing = os.pipe()
        with os.fdopen(reading) as answers:
            self._process = _start("sandbox", writing, subprocess.DEVNULL)
            os.close(writing)
            try:
                _expect(answers.readline(), "made")
                link = [
                    f"link add {interface} type veth peer name eth0 netns {self._process.pid}",
                    f"link set {interface} master {BRIDGE} up",
                ]
                subprocess.run(["ip", "-batch", "-"], input="\n".join(link), text=True, check=True, capture_output=True)
                inside = [
                    "link set lo up",
                    f"addr add {address}/16 dev eth0",
                    "link set eth0 up",
                    f"route add default via {MACHINE}",
                ]
                assert self._process.stdin is not None
                self._process.stdin.write(json.dumps({"hostname": hostname, "network": inside}).encode() + b"\n")
                self._process.stdin.flush()
                _expect(answers.readline(), "ready")
            except (OSError, subprocess.CalledProcessError, HarnessError) as error:
                self.close()
                more = getattr(error, "stderr", "") or ""
                raise HarnessError(f"no network for the pod {hostname}: {error} {more}") from error

    def run(self, command: Command, work: Path, log: BinaryIO) -> Container:
        """Starts a container.

        Args:
          command: what it runs.
          work: an empty folder for its file system.
          log: takes its output.

        Raises:
          StartError: it could not be started.
        """
        order = {
            "sandbox": self._process.pid,
            "work": str(work),
            "argv": list(command.argv),
            "environment": dict(command.environment),
            "directory": command.directory,
            "mounts": [asdict(mount) for mount in command.mounts],
            "readable": list(command.readable),
            **asdict(command.identity),
        }
        reading, writing = os.pipe()
        with os.fdopen(reading) as answers:
            process = _start("container", writing, log)
            os.close(writing)
            assert process.stdin is not None
            with process.stdin as order_pipe:
                order_pipe.write(json.dumps(order).encode())
            pid, error = answers.readline(), answers.read()
        if not pid or error:
            code = process.wait()
            raise StartError(error or f"its parent process ended with {code}")
        return Container(process, int(pid))

    def close(self) -> None:
        """Takes the network away."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _expect(line: str, word: str) -> None:
    if line.strip() != word:
        raise HarnessError(line.strip() or "its first process ended")


def _start(role: str, descriptor: int, output: BinaryIO | int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-S", "-m", "tests.harness.cluster.pod.container_init", role, str(descriptor)],
        cwd=ROOT,
        env={"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        pass_fds=[descriptor],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
