"""One line on the console for each node of a run, taken from the log records of TFX's runners."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterator, Mapping
from typing import TextIO

# "Component X is running." by the local runner, "node X is running." by Beam's, "node X is skipped." by `launching`.
_RECORD = re.compile(r"^(?:Component|node) (?P<node>\S+) is (?P<state>running|skipped|finished)\.$")
_NAME_WIDTH = 22


class NodeProgress(logging.Handler):
    """A handler for TFX's logger that reports nodes as they start and end.

    Attributes:
      current: the node that is running, or that failed; None between nodes.
    """

    def __init__(self, stream: TextIO) -> None:
        """Writes to `stream`; on a terminal a node has a line there while it runs."""
        super().__init__()
        self.current: str | None = None
        self._stream = stream
        self._seconds: dict[str, float] = {}
        self._skipped: set[str] = set()
        self._started = 0.0

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds of each node that has finished, in order."""
        return self._seconds

    def emit(self, record: logging.LogRecord) -> None:
        """Handles a log record; ignores those that are not about a node's start or end."""
        found = _RECORD.match(record.getMessage())
        if not found:
            return
        node = found["node"]
        if found["state"] == "running":
            self.current, self._started = node, time.monotonic()
            if self._stream.isatty():
                # Back to the start of the line: whatever the node itself prints there replaces it.
                self._stream.write(f"  {node} …\r")
        elif found["state"] == "skipped":
            self._skipped.add(node)
        else:
            self.current = None
            seconds = time.monotonic() - self._started
            if node in self._skipped:
                self.show(node, seconds, "skipped")
            else:
                self._seconds[node] = seconds
                self.show(node, seconds)
        self._stream.flush()

    def show(self, what: str, seconds: float, end: str = "") -> None:
        """Writes the line of a node, or of anything else that took time; `end` says how it failed, if it did."""
        clear = "\x1b[2K" if self._stream.isatty() else ""
        self._stream.write(f"{clear}  {what:<{_NAME_WIDTH}}{seconds:7.1f} s{f'  {end}' if end else ''}\n")
        self._stream.flush()

    def fail(self) -> None:
        """Call it when the run has ended with an error: writes the line of the node that it ended in, if any."""
        if self.current is not None:
            self.show(self.current, time.monotonic() - self._started, "failed")

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Listens to TFX's logger, which is absl's, in this context."""
        logger = logging.getLogger("absl")
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)


def shares(seconds: Mapping[str, float]) -> str:
    """Where the time went: each part's share of the total, largest first, those under 1 % combined."""
    total = sum(seconds.values())
    if total <= 0:
        return "nothing had to run"
    large = {name: value for name, value in seconds.items() if value >= 0.01 * total}
    parts = [f"{name} {value / total:.0%}" for name, value in sorted(large.items(), key=lambda item: -item[1])]
    if rest := total - sum(large.values()):
        parts.append(f"others {rest / total:.0%}")
    return ", ".join(parts)
