"""A fork server started ahead of the search that will use it.

Its imports take seconds of one core. A pipeline that runs entirely on one machine starts it at its own start, while the
nodes before the tuner keep another core busy. Otherwise the local cluster starts its own, with the same result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle

_server: ForkServerHandle | None = None


@contextlib.contextmanager
def prewarmed(log: Path) -> Iterator[None]:
    """In this context, local clusters use a server started at its beginning, whose output goes to `log`."""
    global _server
    server = _server = ForkServerHandle(log, with_tfx=True)
    try:
        yield
    finally:
        _server = None
        server.close(grace_seconds=5.0)


def server() -> ForkServerHandle | None:
    """The server of the enclosing `prewarmed`, if it is still running."""
    return _server if _server is not None and _server.alive else None
