"""Sets the project up on a machine that has no more than git, make and some Python 3.

Runs before the environment exists, so these modules use the standard library alone and the language of Python 3.7.
"""

from __future__ import annotations

import sys


class SetupError(Exception):
    """Setting up cannot go on; the message says what happened and what to do about it."""


def say(text: str) -> None:
    """Tells the person at the terminal what the set-up is about to do."""
    print("setup: {}".format(text), file=sys.stderr, flush=True)
