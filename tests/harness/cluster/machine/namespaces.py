"""A world of its own for one test session: its network, its processes, its mounts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.machine import syscalls

BRIDGE = "cbr0"
#: The machine's address on the network of the pods: of the API server, the DNS substitute and every node.
MACHINE = "10.244.0.1"
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"

# A bridge without an address of its own takes over the lowest one of its ports, and another one when that pod ends: the
# other pods would send to the old one for up to a minute, and hear nothing of Services, the API server and the bucket.
_BRIDGE_ADDRESS = "02:00:0a:f4:00:01"
_NETWORK = (
    "link set lo up",
    f"link add {BRIDGE} address {_BRIDGE_ADDRESS} type bridge",
    f"addr add {MACHINE}/16 dev {BRIDGE}",
    f"link set {BRIDGE} up",
    f"route add {SERVICE_NETWORK} dev {BRIDGE}",
)


def enter(pid_file: Path | None = None) -> None:
    """Goes on as a child process in fresh network, process and mount namespaces.

    Call it while this process has one thread. The process that called stays outside and ends with the child's exit
    status. Whatever the child starts ends with it, however it ends: the kernel ends the namespace. Inside there is no
    network but the pods'.

    Args:
      pid_file: gets the id of a process that is inside, for `join`, as long as there is one.

    Raises:
      HarnessError: this machine does not allow it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        _unshare()
    except OSError as error:
        raise HarnessError(
            f"the kernel gives this process no namespaces of its own ({error}): run as root, or allow unprivileged "
            "user namespaces (sysctl kernel.unprivileged_userns_clone=1; inside a container: --privileged)"
        ) from error
    first = os.fork()
    if first:
        if pid_file:
            pid_file.write_text(str(first))
        code = _wait_for(first)
        if pid_file:
            pid_file.unlink(missing_ok=True)
        os._exit(code)
    syscalls.die_with_parent(signal.SIGKILL)
    second = os.fork()
    if second:
        os._exit(_wait_for(second))
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    _set_up_network()


def join(pid: int) -> None:
    """Moves this process (and its children, also among the processes) to the namespaces that `enter` made.

    Raises:
      OSError: the process is gone, or not this user's.
    """
    user = 0 if os.geteuid() == 0 else syscalls.CLONE_NEWUSER
    here = Path.cwd()
    syscalls.join(pid, user | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS)
    os.chdir(here)


def _unshare() -> None:
    flags = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        syscalls.unshare(flags)
        return
    syscalls.unshare(flags | syscalls.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _wait_for(child: int) -> int:
    """Reaps whatever ends until `child` has, and returns its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C reaches the child by itself
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _set_up_network() -> None:
    try:
        subprocess.run(["ip", "-batch", "-"], input="\n".join(_NETWORK), text=True, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise HarnessError(f"`ip` could not make the pods' network: {error.stderr.strip()}") from error
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
