"""A study's state for the search as a whole, beside its trials and leases, and how it is stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass
class SearchState:
    """A search in progress; times are seconds.

    Attributes:
      started: when the search began.
      session_started: when this attempt at it began: limits count from there.
      ended: when it ended, None before.
      exhausted: whether the oracle has no more trials.
      ran_out: why it has none before reaching its limit; see `answers.Aside`.
      repeated: whether it ever suggested a configuration tried before; likewise.
      stop_reason: why the search was stopped before the oracle was exhausted, None if it was not.
      consecutive_failures: how many trials failed in a row.
      lost_workers: how many worker processes were lost.
      faults: how many errors outside a trial workers reported since a trial last ended.
      first_fault: the first of these errors.
    """

    started: float
    session_started: float
    ended: float | None = None
    exhausted: bool = False
    ran_out: str | None = None
    repeated: bool = False
    stop_reason: str | None = None
    consecutive_failures: int = 0
    lost_workers: int = 0
    faults: int = 0
    first_fault: str = ""

    def to_state(self) -> dict[str, Any]:
        """The search as JSON-able data."""
        # Its fields are plain values; dataclasses.asdict, which copies deeply, takes ten times as long.
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: Mapping[str, Any], now: float, *, go_on: bool, more: bool) -> SearchState:
        """Undoes `to_state`, but leaves `ended` None; for the arguments see `Study.restore`."""
        state = {"started": now, "session_started": now, **state, "ended": None}
        if not go_on:
            return cls(**state)
        kept = {"repeated": state.get("repeated", False)}
        if state.get("exhausted", False) and not more:
            kept |= {"exhausted": True, "ran_out": state.get("ran_out")}
        return cls(state["started"], now, **kept)
