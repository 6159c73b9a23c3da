"""What a worker's heartbeat reports about the trial that it runs."""

from __future__ import annotations

import threading


class CurrentTrial:
    """Which trial the worker runs, shared with its heartbeat. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trial_id: str | None = None
        self._attempt = 0
        self._stay = 0
        self._search = ""
        self._epochs: int | None = None
        self._abandoned = False
        self._cut: str | None = None
        self._promised: str | None = None

    def promise(self, trial_id: str | None) -> None:
        """Sets the trial that the worker has already been given and begins next, None if there is none."""
        with self._lock:
            self._promised = trial_id

    def begin(self, trial_id: str, attempt: int, search: str = "") -> None:
        """The worker begins a trial.

        Args:
          trial_id: the trial.
          attempt: how many times it was retried from scratch before.
          search: the search's unique id, see `durable_state.Stored`.
        """
        with self._lock:
            self._trial_id, self._attempt, self._epochs, self._abandoned = trial_id, attempt, None, False
            self._cut = self._promised = None
            self._search = search
            self._stay += 1

    def cut_short(self, reason: str) -> None:
        """The trial ends before its last epoch, as the chief ordered."""
        with self._lock:
            self._cut = self._cut or reason

    def end(self) -> None:
        """The worker holds no trial."""
        with self._lock:
            self._trial_id, self._epochs = None, None

    def epoch(self) -> None:
        """One more epoch of the trial is finished."""
        with self._lock:
            self._epochs = (self._epochs or 0) + 1

    def abandon(self) -> None:
        """The chief took the trial away: its end is not reported."""
        with self._lock:
            self._abandoned = True

    def resumed(self, epochs: int) -> None:
        """This many epochs of the trial were finished before and need not be trained again."""
        with self._lock:
            self._epochs = epochs

    @property
    def trial_id(self) -> str | None:
        """The running trial, None between two."""
        with self._lock:
            return self._trial_id

    @property
    def held(self) -> str | None:
        """The trial that this worker holds in the chief's view: the running one or, between two, the next."""
        with self._lock:
            return self._trial_id or self._promised

    @property
    def stay(self) -> int:
        """Counts the trials begun, so that a trial that is begun again can be distinguished from its earlier stay."""
        with self._lock:
            return self._stay

    @property
    def attempt(self) -> int:
        """How many times the trial was retried from scratch before."""
        with self._lock:
            return self._attempt

    @property
    def search(self) -> str:
        """The search's unique id."""
        with self._lock:
            return self._search

    @property
    def abandoned(self) -> bool:
        """Whether the chief took the trial away."""
        with self._lock:
            return self._abandoned

    @property
    def cut(self) -> str | None:
        """Why the trial ends before its last epoch, as the chief put it; None if it runs in full."""
        with self._lock:
            return self._cut

    @property
    def epochs(self) -> int | None:
        """The trial's finished epochs, None before the first."""
        with self._lock:
            return self._epochs
