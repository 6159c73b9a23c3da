"""Sets the project up on a machine that has no more than git, make and some Python 3.

Runs before the environment exists, so these modules use the standard library alone and the language of Python 3.7.
"""

from __future__ import annotations


class SetupError(Exception):
    """Setting up cannot go on; the message says what happened and what to do about it."""
