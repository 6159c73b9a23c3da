"""The first process of a real node: its own processes and mounts, then containerd, then the kubelet.

Started as `python -S -m tests.harness.cluster.real_node.init`, with what to run as JSON on standard input. When it is
killed the kernel ends every container with it and drops every mount.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.harness.cluster.machine import syscalls

# The kubelet sets these for the whole machine: it gets files of its own in their place.
_MACHINE_WIDE = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
)
_SCRATCH = ("/run", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers")
_CONTAINERD_SECONDS = 60.0
_POLL_SECONDS = 0.1


def _spawn(order: dict[str, Any], program: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    log = os.open(f"{order['folder']}/{program}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    if program == "kubelet":
        _shield_machine(Path(order["folder"]))
    command = order["commands"][program]
    os.execve(command[0], command, order["environment"])


def _shield_machine(folder: Path) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/proc", None, syscalls.MS_PRIVATE)
    for name in _MACHINE_WIDE:
        setting, mine = Path("/proc/sys") / name, folder / name.replace("/", ".")
        mine.write_text(setting.read_text())
        syscalls.bind(mine, setting)


def _set_up_mounts() -> None:
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    for folder in _SCRATCH:
        Path(folder).mkdir(parents=True, exist_ok=True)
        syscalls.mount("tmpfs", folder, "tmpfs")
    for folder in ("/run/netns", "/run/lock"):
        Path(folder).mkdir()
    syscalls.mount("proc", "/proc", "proc")
    # The kubelet mounts volumes, and containerd must see them.
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_SHARED)


def _import_images(order: dict[str, Any]) -> None:
    end = time.monotonic() + _CONTAINERD_SECONDS
    control = [*order["ctr"], "--namespace", "k8s.io"]
    while subprocess.run([*control, "version"], capture_output=True, env=order["environment"]).returncode:
        if time.monotonic() > end:
            raise TimeoutError(f"containerd does not answer; its log is {order['folder']}/containerd.log")
        time.sleep(_POLL_SECONDS)
    for archive in order["images"]:
        subprocess.run([*control, "images", "import", archive], check=True, env=order["environment"])


def main() -> None:
    """Runs the node until one of its two programs ends."""
    order = json.load(sys.stdin)
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
    first = os.fork()
    if first:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)
    syscalls.die_with_parent(signal.SIGKILL)
    _set_up_mounts()
    running = {_spawn(order, "containerd"): "containerd"}
    _import_images(order)
    running[_spawn(order, "kubelet")] = "kubelet"
    while True:
        pid, status = os.wait()
        if pid in running:
            print(f"{running[pid]} ended with {os.waitstatus_to_exitcode(status)}", file=sys.stderr, flush=True)
            os._exit(1)


if __name__ == "__main__":
    main()
