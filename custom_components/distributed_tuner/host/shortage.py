"""Tells a shortage that passes, of descriptors or memory, from a disk that refuses, which only a person can mend."""

from __future__ import annotations

import errno

_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR})


def passes(error: BaseException | None) -> bool:
    """Whether the same attempt may do better a little later, with nobody's help."""
    return isinstance(error, OSError) and error.errno in _PASSING
