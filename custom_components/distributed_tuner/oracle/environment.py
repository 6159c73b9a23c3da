"""keras-tuner's own environment variables, by which a plain script finds a chief or becomes one.

A user who joins such a script to a search exports them, and every other process started from the same shell inherits
them. A tuner of ours that saw them would call that chief, or act as a chief itself inside `search`, instead of working
for its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

TUNER_ID = "KERASTUNER_TUNER_ID"
_ALL = (TUNER_ID, "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")


def drop() -> None:
    """Removes them from this process's environment, and so from that of its child processes."""
    for name in _ALL:
        os.environ.pop(name, None)


@contextlib.contextmanager
def tuner_id(name: str) -> Iterator[None]:
    """Within it a tuner that is built gets this id, and uses no chief of keras-tuner's."""
    before = {name: os.environ[name] for name in _ALL if name in os.environ}
    drop()
    os.environ[TUNER_ID] = name
    try:
        yield
    finally:
        drop()
        os.environ.update(before)
