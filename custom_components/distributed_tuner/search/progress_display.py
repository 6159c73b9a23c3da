"""Shows the progress of a search: a live line on a terminal, occasional lines in a log."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from custom_components import console
from custom_components.distributed_tuner.record import progress_line
from custom_components.distributed_tuner.record.record import SearchRecord

# Seconds between two lines of a log: the least, and the most while nothing changes.
LOG_EVERY = 5.0
LOG_AT_LEAST_EVERY = 60.0

_BAR_WIDTH = 20


class ProgressDisplay:
    """Shows the progress of a search on the project's console while the context lasts.

    On a terminal one live line is redrawn with every update. Elsewhere lines are printed: a changed one no sooner than
    `log_every` seconds after the previous one, an unchanged one after `LOG_AT_LEAST_EVERY`, and the last state at the
    end. The time is taken from the updates.
    """

    def __init__(self, *, log_every: float = LOG_EVERY) -> None:
        """Opens nothing yet.

        Args:
          log_every: the least time between two log lines, in seconds.
        """
        self._log_every = log_every
        self._console = Console(file=console.stream(), highlight=False)
        live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False) if live else None
        self._words = ""
        self._noted: set[str] = set()
        self._line: str | None = None
        self._state: list[str] = []
        self._printed_line: str | None = None
        self._printed_state: list[str] = []
        self._printed_at = -float("inf")

    def __enter__(self) -> ProgressDisplay:
        """Starts the display."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the display, leaving the last state in view."""
        if self._live is not None:
            self._live.stop()
        elif self._line is not None and self._line != self._printed_line:
            self._print(self._printed_at)

    def update(self, record: SearchRecord, now: float, workers_alive: int) -> None:
        """Shows the state as of `now`, and each notice once, alone. The arguments are those of `progress_line.line`."""
        for notice in record.notices:
            if notice not in self._noted:
                self._noted.add(notice)
                self._console.print(Text(f"search: note: {notice}"), soft_wrap=True)
        self._line = "; ".join(filter(None, [progress_line.line(record, now, workers_alive), self._words]))
        if self._live is not None:
            self._live.update(_with_bar(record, self._line), refresh=True)
            return
        self._state = [*progress_line.counts(record, workers_alive), *progress_line.best(record), self._words]
        self._print_when_due(now)

    def tell(self, words: str) -> None:
        """Shows what the search waits for: with the next updates, or alone before the first one. Empty text ends it."""
        if words == self._words:
            return
        self._words = words
        if self._line is None and words:
            self._console.print(Text(f"search: {words}"), soft_wrap=True)

    def _print_when_due(self, now: float) -> None:
        wait = self._log_every if self._state != self._printed_state else LOG_AT_LEAST_EVERY
        if now - self._printed_at >= wait:
            self._print(now)

    def _print(self, now: float) -> None:
        self._console.print(Text(f"search: {self._line}"), soft_wrap=True)
        self._printed_line, self._printed_state, self._printed_at = self._line, self._state, now


def _with_bar(record: SearchRecord, line: str) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    text = Text(line)
    if record.max_trials:
        grid.add_row(
            ProgressBar(total=record.max_trials, completed=progress_line.ended(record), width=_BAR_WIDTH), text
        )
    else:
        grid.add_row(text)
    return grid
