"""The first process of a pod's sandbox, and the one that becomes a container. Each is started as
`python -S -m tests.harness.cluster.pod.container_init sandbox|container FD`: it needs nothing but the standard library.

A sandbox holds the pod's network. A container gets its own processes and mounts, and a copy-on-write view of the
machine's files. What to run comes on standard input, so that no secret stands among the arguments of a process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.harness.cluster.machine import syscalls

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What an image would hold, and what this machine's own files must not shine through.
_SCRATCH = ("tmp", "run", "var/tmp")
_OWN = frozenset({"proc", "sys", "dev", "tmp", "run", "lost+found"})


def hold_network(descriptor: int) -> None:
    """Makes the pod's network and keeps it until standard input ends.

    It says `made` once there is a network to move an interface to, reads the hostname and what `ip -batch` is to do,
    and says `ready`.
    """
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC)
    os.write(descriptor, b"made\n")
    order = json.loads(sys.stdin.readline())
    socket.sethostname(order["hostname"])
    subprocess.run(["ip", "-batch", "-"], input="\n".join(order["network"]), text=True, check=True)
    os.write(descriptor, b"ready\n")
    sys.stdin.read()


def contain(descriptor: int) -> int:
    """Runs a container and returns its exit status; 128 and the signal's number where a signal ended it.

    It writes the container's process id to `descriptor`, then, if it could not be started, why not. The end of the
    file without such a message says that the container runs.
    """
    order = json.load(sys.stdin)
    syscalls.join(order["sandbox"], syscalls.CLONE_NEWNET | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC)
    syscalls.unshare(syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS)
    os.set_inheritable(descriptor, False)
    child = os.fork()
    if child == 0:
        try:
            _become(order)
        except (OSError, ValueError) as error:
            os.write(descriptor, str(error).encode())
        os._exit(128)
    os.write(descriptor, f"{child}\n".encode())
    os.close(descriptor)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _become(order: dict[str, Any]) -> None:
    syscalls.die_with_parent(signal.SIGKILL)
    # A folder before what lies in it.
    mounts = sorted(order["mounts"], key=lambda item: len(Path(item["target"]).parts))
    volumes = [(os.open(item["source"], os.O_PATH), item) for item in mounts]
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    root, layers = _make_root(Path(order["work"]))
    os.chroot(root)
    os.chdir("/")
    for source, item in volumes:
        _bind_volume(f"/proc/self/fd/{source}", Path(item["target"]).resolve(), item["read_only"])
        os.close(source)
    if order["user"]:
        for folder in {str(parent) for path in order["readable"] for parent in Path(path).parents}:
            _let_all_enter(Path(folder))
    Path(order["directory"]).mkdir(parents=True, exist_ok=True)
    if order["read_only_root"]:
        targets = {item["target"].rstrip("/") for item in mounts}
        for path in (path for path in layers if path not in targets):
            flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY
            syscalls.mount("none", path, None, flags)
    os.chdir(order["directory"])
    _drop_privileges(order)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.execvpe(order["argv"][0], order["argv"], order["environment"])


def _make_root(work: Path) -> tuple[Path, list[str]]:
    """Mounts the container's file system below `work`; returns where, and what in it can be written to.

    Each folder of this machine's root gets a layer of its own: one for all would show nothing of other file systems,
    and without root's powers the kernel refuses it.
    """
    syscalls.mount("tmpfs", work, "tmpfs", 0, "mode=755")
    root = work / "root"
    root.mkdir()
    syscalls.bind(root, root)
    layers = ["/"]
    for entry in sorted(Path("/").iterdir()):
        shown = root / entry.name
        if entry.name in _OWN:
            continue
        if entry.is_symlink():
            shown.symlink_to(entry.readlink())
        elif entry.is_dir():
            shown.mkdir()
            if _add_layer(entry, shown, work / f"{entry.name}.upper", work / f"{entry.name}.work"):
                layers.append(f"/{entry.name}")
    for name in ("proc", "sys", "dev", *_SCRATCH):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _SCRATCH:
        syscalls.mount("tmpfs", root / name, "tmpfs", 0, "mode=1777" if name.endswith("tmp") else "mode=755")
        layers.append(f"/{name}")
    syscalls.mount("proc", root / "proc", "proc")
    syscalls.bind("/sys", root / "sys", read_only=True)
    _make_devices(root / "dev")
    return root, layers


def _add_layer(source: Path, target: Path, upper: Path, scratch: Path) -> bool:
    """Shows a folder and keeps what is written to it apart; where the kernel refuses that, shows it read-only."""
    upper.mkdir()
    scratch.mkdir()
    upper.chmod(source.stat().st_mode & 0o7777)
    options = f"lowerdir={source},upperdir={upper},workdir={scratch}"
    if not Path("/proc/self/uid_map").read_text().split()[2].startswith("4294967295"):
        options += ",userxattr"
    try:
        syscalls.mount("overlay", target, "overlay", 0, options)
    except OSError:
        syscalls.bind(source, target, read_only=True)
        return False
    return True


def _make_devices(folder: Path) -> None:
    syscalls.mount("tmpfs", folder, "tmpfs", 0, "mode=755")
    for name in _DEVICES:
        (folder / name).touch()
        syscalls.bind(f"/dev/{name}", folder / name)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (folder / name).symlink_to(target)
    (folder / "shm").mkdir()
    syscalls.mount("tmpfs", folder / "shm", "tmpfs", 0, "mode=1777")
    (folder / "pts").mkdir()
    syscalls.mount("devpts", folder / "pts", "devpts", 0, "newinstance,ptmxmode=0666")
    (folder / "ptmx").symlink_to("pts/ptmx")


def _bind_volume(source: str, target: Path, read_only: bool) -> None:
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        # One that is there may lie in a folder that can only be read.
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    syscalls.bind(source, target, read_only=read_only)


def _let_all_enter(folder: Path) -> None:
    """A container's user is not this machine's, whose home may be closed to others."""
    mode = folder.stat().st_mode
    if mode & 0o555 != 0o555:
        folder.chmod(mode | 0o555)


def _drop_privileges(order: dict[str, Any]) -> None:
    if order["drop_capabilities"]:
        syscalls.drop_bounding_capabilities()
    if order["user"] or order["group"] or order["groups"]:
        try:
            os.setgroups(order["groups"])
            os.setresgid(order["group"], order["group"], order["group"])
            os.setresuid(order["user"], order["user"], order["user"])
        except OSError as error:
            raise OSError(f"cannot become user {order['user']}; without root a process node has no other") from error
    if order["drop_capabilities"]:
        syscalls.drop_all_capabilities()
    if order["no_new_privileges"]:
        syscalls.forbid_new_privileges()
    # A change of user clears it.
    syscalls.die_with_parent(signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "sandbox":
        try:
            hold_network(int(sys.argv[2]))
        except (OSError, subprocess.CalledProcessError) as problem:
            os.write(int(sys.argv[2]), f"{problem}\n".encode())
    else:
        sys.exit(contain(int(sys.argv[2])))
