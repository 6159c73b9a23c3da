"""The errors of a search, each with a message for the person who runs it, and the exit codes of its processes."""

from __future__ import annotations

import enum

# An error's text may hold a whole array or file; nobody reads more than this, and it is stored and sent many times.
MAX_CHARACTERS = 100_000
_LONGEST_ESCAPE = len("\\udc80")


class TunerError(RuntimeError):
    """An error for the person who runs the search: the message says what happened, where, and what to do."""


class SearchError(TunerError):
    """A search that cannot go on, or found too little."""


class ChiefUnreachable(SearchError):
    """No chief answered within the time that a worker waits for one."""


class ChiefRefused(SearchError):
    """The chief rejected a call."""


class WorkerReplaced(SearchError):
    """Another process of the same worker has replaced this one."""


class SearchLocked(SearchError):
    """Another chief serves the same search directory."""


class DiskFull(SearchError):
    """A trial could not write because the disk is full: not the trial's fault, it can be resumed when there is room."""


class CorruptState(SearchError):
    """The stored state of a search cannot be read."""


class SearchChanged(SearchError):
    """The code no longer matches the stored search."""


class ExitCode(enum.IntEnum):
    """Exit codes of chief and worker processes, by which a cluster backend decides whether a restart may help."""

    DONE = 0
    # The user's code or the stored search is at fault: no restart helps. Kubernetes: podFailurePolicy FailJob.
    FATAL = 70
    # An error outside a trial, which the chief counts: a restart may help.
    FAULT = 71
    # The disk is full or not writable; there may be no room for the reason either.
    CANNOT_STORE = 74
    # The worker's trial was taken away and did not stop by itself, or another process of this worker has replaced this
    # one: restart it.
    ABANDONED = 75
    # No chief was reachable for too long.
    CHIEF_LOST = 76
    # The worker's process ended between two trials to be replaced by a new one: restart it at once. Not a failure.
    RENEWED = 79
    # Told to stop (SIGTERM): a worker gave its trial back, a chief stored everything. It may be restarted.
    PREEMPTED = 143


def printable(text: str) -> str:
    """The text with unencodable characters escaped: a file name that is not UTF-8 contains lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def storable(text: str) -> str:
    """The text as `printable` returns it, without the middle if it is very long: both ends say what happened.

    Copies only what is kept, also of a text of hundreds of megabytes.
    """
    if len(text) <= MAX_CHARACTERS and len(told := printable(text)) <= MAX_CHARACTERS:
        return told
    # Leaves room for a caller to prepend a line and pass the text here again.
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
    """The error's type and text in one message, even if its `str` raises."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    return storable(f"{type(error).__name__}: {storable(text)}")
