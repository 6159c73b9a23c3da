"""What can go wrong in a search, each with a message for the person who runs it."""

from __future__ import annotations

import enum

# An error's text may hold a whole array, or a file; nobody reads more, and it is stored and sent many times.
MAX_CHARACTERS = 100_000
_LONGEST_ESCAPE = len("\\udc80")


class TunerError(RuntimeError):
    """What a search tells the person who runs it: the message says what happened, where, and what to do."""


class SearchError(TunerError):
    """A search that cannot go on, or found too little."""


class ChiefUnreachable(SearchError):
    """No chief answered within the time that a worker waits for one."""


class ChiefRefused(SearchError):
    """The chief answered that the call is not allowed."""


class WorkerReplaced(SearchError):
    """Another process of the same worker has taken this one's place."""


class SearchLocked(SearchError):
    """Another chief serves the same search directory."""


class DiskFull(SearchError):
    """A trial could not write: no fault of the trial, which goes on when there is room."""


class CorruptState(SearchError):
    """The stored state of a search cannot be read."""


class SearchChanged(SearchError):
    """The code is not that of the stored search any more."""


class ExitCode(enum.IntEnum):
    """How chief and worker processes end; a cluster backend decides by them whether a restart may help."""

    DONE = 0
    # The user's code or the stored search is at fault: no restart helps. Kubernetes: podFailurePolicy FailJob.
    FATAL = 70
    # An error outside of a trial, which the chief counts: another start may help.
    FAULT = 71
    # The disk is full or may not be written; there may be no room for the reason either.
    CANNOT_STORE = 74
    # The worker's trial was taken from it and did not stop by itself, or another process of this worker has taken this
    # one's place: start it afresh.
    ABANDONED = 75
    # No chief within reach for too long.
    CHIEF_LOST = 76
    # The worker gave way to a fresh process between two trials: start that at once. It counts as nothing.
    RENEWED = 79
    # Told to stop (SIGTERM): a worker gave its trial back, a chief stored all there is. It may be started again.
    PREEMPTED = 143


def printable(text: str) -> str:
    """The text with what no encoding knows written out: a file name that is not UTF-8 brings halves of characters."""
    return text.encode("utf-8", "backslashreplace").decode()


def storable(text: str) -> str:
    """The text as `printable` gives it, and without the middle where it is very long: both ends say what happened.

    Of a text of hundreds of megabytes only what is kept is copied.
    """
    if len(text) <= MAX_CHARACTERS and len(told := printable(text)) <= MAX_CHARACTERS:
        return told
    # Somebody may put a line before it, and bring it here again.
    room = MAX_CHARACTERS * 9 // 20
    first = _as_much_as_fits(text[:room], room, at_end=False)
    last = _as_much_as_fits(text[-room:], room, at_end=True)
    left_out = f"[{len(text) - len(first) - len(last):,} characters are left out here]"
    return f"{printable(first)}\n{left_out}\n{printable(last)}"


def _as_much_as_fits(text: str, room: int, *, at_end: bool) -> str:
    if len(printable(text)) <= room:
        return text
    fewer = room // _LONGEST_ESCAPE
    return text[-fewer:] if at_end else text[:fewer]


def describe(error: BaseException) -> str:
    """The error's type and text in one message, also of one that cannot be turned into text."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    return storable(f"{type(error).__name__}: {storable(text)}")
