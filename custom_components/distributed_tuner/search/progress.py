"""How a search is going, as one line: live on a terminal, now and then in a log."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from custom_components import console
from custom_components.distributed_tuner.record import formatting, summary
from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus

# Seconds between two lines of a log: at least so many, and with nothing new at most so many.
LOG_EVERY = 5.0
LOG_AT_LEAST_EVERY = 60.0

_BAR_WIDTH = 20


def seconds_left(record: SearchRecord, now: float, workers_alive: int) -> float | None:
    """Estimates how long the search goes on, seconds; None where there is nothing to estimate it from.

    The mean time that completed trials spent with workers, times the trials that have not ended, less what running
    trials have had already, shared among the workers that can still have a trial. It ignores start-up, and assumes
    trials of about equal length.
    """
    completed = [trial for trial in record.trials if trial.status is TrialStatus.COMPLETED and trial.stays]
    if record.max_trials is None or workers_alive <= 0 or not completed:
        return None
    mean = sum(summary.busy_seconds(trial, now) for trial in completed) / len(completed)
    open_trials = record.max_trials - _ended(record)
    if open_trials <= 0:
        return 0.0
    begun = [trial for trial in record.trials if trial.status in (TrialStatus.RUNNING, TrialStatus.WAITING)]
    work = open_trials * mean - sum(min(mean, summary.busy_seconds(trial, now)) for trial in begun)
    return max(0.0, work) / min(workers_alive, open_trials)


def progress_line(record: SearchRecord, now: float, workers_alive: int) -> str:
    """The state of the search in one line: trials, workers, the time left, the best so far, and which way is better.

    Args:
      record: the search so far.
      now: seconds since the epoch.
      workers_alive: how many workers could take a trial at this moment.
    """
    parts = [*_counts(record, workers_alive), *_time_left(record, now, workers_alive), *_best(record)]
    return "; ".join(parts)


class ProgressDisplay:
    """Shows the progress of a search on the project's console while the context lasts.

    On a terminal one live line is redrawn with every update. Elsewhere lines are printed: a changed one no sooner than
    `log_every` seconds after the one before, an unchanged one after `LOG_AT_LEAST_EVERY`, and the last state at the
    end. Time is what the updates say it is.
    """

    def __init__(self, *, log_every: float = LOG_EVERY) -> None:
        """Takes the least time between two log lines, seconds; opens nothing yet."""
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
        """Begins the display."""
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
        """Shows the state as of `now`, and each notice once, alone. The arguments are those of `progress_line`."""
        for notice in record.notices:
            if notice not in self._noted:
                self._noted.add(notice)
                self._console.print(Text(f"search: note: {notice}"), soft_wrap=True)
        self._line = "; ".join(filter(None, [progress_line(record, now, workers_alive), self._words]))
        if self._live is not None:
            self._live.update(_with_bar(record, self._line), refresh=True)
            return
        self._state = [*_counts(record, workers_alive), *_best(record), self._words]
        self._print_when_due(now)

    def tell(self, words: str) -> None:
        """Shows what the search waits for: with the next updates, or alone before the first one. Empty words end it."""
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


def _ended(record: SearchRecord) -> int:
    return sum(record.count(status) for status in (TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.STOPPED))


def _counts(record: SearchRecord, workers_alive: int) -> list[str]:
    of_max = f" of {record.max_trials:,}" if record.max_trials is not None else ""
    counts = [f"{record.count(TrialStatus.COMPLETED):,}{of_max} trials done"]
    for status in (TrialStatus.RUNNING, TrialStatus.WAITING, TrialStatus.FAILED, TrialStatus.STOPPED):
        count = record.count(status)
        if count or status in (TrialStatus.RUNNING, TrialStatus.FAILED):
            counts.append(f"{count:,} {status.value.lower()}")
    return [", ".join(counts), formatting.plural(workers_alive, "worker")]


def _best(record: SearchRecord) -> list[str]:
    best = next(iter(record.completed()), None)
    better = f"{record.direction.better} is better"
    if best is None:
        return [f"{record.objective}: {better}"]
    return [f"best {record.objective} {formatting.score(best.score)} (trial {best.trial_id}, {better})"]


def _time_left(record: SearchRecord, now: float, workers_alive: int) -> list[str]:
    left = seconds_left(record, now, workers_alive) if record.ended is None else None
    return [] if left is None else [f"about {formatting.duration(left)} left"]


def _with_bar(record: SearchRecord, line: str) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    text = Text(line)
    if record.max_trials:
        grid.add_row(ProgressBar(total=record.max_trials, completed=_ended(record), width=_BAR_WIDTH), text)
    else:
        grid.add_row(text)
    return grid
