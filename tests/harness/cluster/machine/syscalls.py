"""The few Linux calls that Python 3.10 does not offer. It imports nothing but the standard library: a starting
container runs it without the environment's packages."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
MS_SHARED = 0x10_0000

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


def has_root() -> bool:
    """Whether this process has root's powers over other users too, not only over its own in a user namespace."""
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return os.geteuid() == 0 and sum(int(length) for _, _, length in ranges) > 1


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Moves this process (for CLONE_NEWPID: its children) to new namespaces.

    Raises:
      OSError: the kernel refused.
    """
    _check(_libc.unshare(flags), "unshare")


def join(pid: int, flags: int) -> None:
    """Moves this process to the namespaces of another one.

    Raises:
      OSError: the kernel refused, or the process is gone.
    """
    descriptor = os.pidfd_open(pid)
    try:
        _check(_libc.setns(descriptor, flags), "setns")
    finally:
        os.close(descriptor)


def mount(source: str, target: str | Path, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    """Mounts `source` on `target`.

    Raises:
      OSError: the kernel refused.
    """
    arguments = [source, str(target), kind, None, options]
    encoded = [None if value is None else value.encode() for value in arguments]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[4])
    _check(result, f"mount {source} on {target}")


def bind(source: str | Path, target: str | Path, *, read_only: bool = False) -> None:
    """Shows `source`, with what is mounted below it, at `target` too.

    Raises:
      OSError: the kernel refused.
    """
    mount(str(source), target, None, MS_BIND | MS_REC)
    if read_only:
        # The flags that the source has must be repeated, or a user namespace may not remount it.
        there = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | os.ST_NOEXEC)
        mount("none", target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | there)


def die_with_parent(signal_number: int) -> None:
    """Has the kernel send this process a signal when the thread that started it ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0), "prctl")


def forbid_new_privileges() -> None:
    """No program that this process starts gains privileges, such as by a set-user-id bit."""
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "prctl")


def drop_bounding_capabilities() -> None:
    """This process and its children can never again gain a capability."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        _check(_libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0), "prctl")


def drop_all_capabilities() -> None:
    """Gives up every capability, root's too."""
    header = (ctypes.c_uint32 * 2)(0x2008_0522, 0)  # version 3, this process
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
