"""Distinguishes a transient shortage, of descriptors or memory, from a failing disk, which only a person can fix."""

from __future__ import annotations

import errno

_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR})


def passes(error: BaseException | None) -> bool:
    """Whether a retry a little later may succeed without anybody's help."""
    return isinstance(error, OSError) and error.errno in _PASSING
