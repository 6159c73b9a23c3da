"""keras-tuner's own variables of the environment, by which a plain script finds a chief or becomes one.

Whoever joins such a script to a search exports them, and whatever starts from the same shell gets them too. A tuner of
ours that saw them would call that chief, or serve as one itself inside `search`, instead of working for its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

TUNER_ID = "KERASTUNER_TUNER_ID"
_ALL = (TUNER_ID, "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")


def drop() -> None:
    """Takes them out of this process's environment, and so out of that of the processes that it starts."""
    for name in _ALL:
        os.environ.pop(name, None)


@contextlib.contextmanager
def tuner_id(name: str) -> Iterator[None]:
    """Within it a tuner that is built has this id, and no chief of keras-tuner's."""
    before = {name: os.environ[name] for name in _ALL if name in os.environ}
    drop()
    os.environ[TUNER_ID] = name
    try:
        yield
    finally:
        drop()
        os.environ.update(before)
