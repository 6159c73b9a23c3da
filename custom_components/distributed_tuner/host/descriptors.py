"""How many file descriptors a process may have, and how many of them a chief's callers may use."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

# For everything else: the chief's files, pipes, its log, what the oracle opens.
RESERVE = 64
# Each costs some 15 KiB, more with TLS, even before its caller has sent anything.
MOST_CONNECTIONS = 8192
# With fewer, nobody could be served at all.
_FEWEST_CONNECTIONS = 16
# Beyond it, programs that scan all possible descriptors, which trials may start, take minutes.
_ENOUGH = 1 << 20


def raise_limit() -> None:
    """Raises the soft limit of open files to the hard one.

    Many systems set it to 1,024 for programs that use select(2), which chief and workers do not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < enough:
        # Some systems report "unlimited" and mean less.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


def connections() -> int:
    """How many connections a server may have so that the rest of this process never lacks descriptors.

    Call it before the first connection: descriptors that are open now stay open.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return share(soft, len(list(Path("/proc/self/fd").iterdir())))


def share(limit: int, in_use: int) -> int:
    """How many of `limit` descriptors are left for connections, with `in_use` taken; RLIM_INFINITY is no limit."""
    if limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(_FEWEST_CONNECTIONS, limit - in_use - RESERVE))
