"""How many file descriptors the process may have, and how many of them connections may use."""

from __future__ import annotations

import contextlib
import resource

import psutil

# For everything else: a model's files while it is loaded, pipes, the log.
RESERVE = 64
# Beyond these, connections cost more memory than a server on a laptop is worth.
MOST_CONNECTIONS = 4096
# With fewer, nobody could be served at all.
_FEWEST_CONNECTIONS = 16


def raise_limit() -> None:
    """Raises the soft limit of open files to the hard one.

    Many shells set it to 1,024 for programs that use select(2), which this one does not. If the system refuses (macOS,
    if the hard limit is "unlimited"), the soft limit stays.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_each() -> int:
    """How many connections REST and gRPC may each have so that the rest of the process never lacks descriptors.

    Call it before the first connection: descriptors that are open now stay open.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return share(soft, psutil.Process().num_fds())


def share(limit: int, in_use: int) -> int:
    """One protocol's share of `limit` descriptors, with `in_use` taken; RLIM_INFINITY is no limit."""
    if limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(_FEWEST_CONNECTIONS, (limit - in_use - RESERVE) // 2))
