"""A worker that was told to go: it stays for the end of an epoch where epochs that it has finished would be lost.

Short epochs are not saved one by one (`resume.pace`), and in the middle of one it is too late: the weights have moved
on. Its end is near, though, and there all of them can be saved.
"""

from __future__ import annotations

import threading


class Leaving:
    """Shared by the training and whoever hears the signal. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted = False
        self._at_stake: float | None = None

    @property
    def wanted(self) -> bool:
        """Whether the worker was told to go: the end of this epoch is the last moment to save it."""
        with self._changed:
            return self._wanted

    def at_stake(self, epoch_seconds: float) -> None:
        """Finished epochs are not saved; they will be, at the latest, when an epoch of this length has ended."""
        with self._changed:
            self._at_stake = epoch_seconds

    def safe(self) -> None:
        """Nothing that is finished would be lost."""
        with self._changed:
            self._at_stake = None
            self._changed.notify_all()

    def wait(self, patience_seconds: float) -> None:
        """Tells the training that the worker is to go, and waits until that costs no finished epoch.

        Args:
          patience_seconds: for no longer than that, and not at all for an epoch that takes longer.
        """
        with self._changed:
            self._wanted = True
            if self._at_stake is not None and self._at_stake <= patience_seconds:
                self._changed.wait_for(lambda: self._at_stake is None, timeout=patience_seconds)
