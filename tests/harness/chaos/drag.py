"""How much longer than they should the epochs of a running search last, so that it outlives what is to befall it."""

from __future__ import annotations

from pathlib import Path

FILE = "drag"
MOST = 4.0


def needed(to_come_seconds: float, epochs_left: int, epoch_seconds: float, workers: int) -> float:
    """The factor with which so many epochs take as long as what is still to come; from 1 to MOST.

    It is counted as if nothing held the workers up. What does makes the search longer than it has to be, by no more
    than that: without anything to come the epochs are as long as they should be.
    """
    left_seconds = epochs_left * epoch_seconds / workers
    return min(MOST, max(1.0, to_come_seconds / left_seconds)) if left_seconds > 0 else 1.0


def read(root: Path) -> float:
    """The factor of the search in this directory."""
    path = root / FILE
    return float(path.read_text("ascii")) if path.exists() else 1.0


def write(root: Path, factor: float) -> None:
    """Changes it, from the next epoch of each trial on."""
    new = root / f"{FILE}.new"
    new.write_text(f"{factor:.2f}", "ascii")
    new.replace(root / FILE)
