"""The worker's side of its lease: a thread that tells the chief that the worker is alive, and receives its orders."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from custom_components.distributed_tuner.errors import ChiefRefused, ChiefUnreachable, ExitCode
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.study.answers import Directive
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial

_LOG = logging.getLogger(__name__)


class Heartbeat:
    """Beats until `stop`.

    A trial that the chief took away, but that comes to no end of an epoch to notice it, would keep the worker from
    useful work: after `grace_seconds` the process exits, and its cluster restarts it. The same happens if it hangs
    between two trials, in `on_trial_end` say, and the chief takes away the one that it was to begin next.

    A process that was suspended for longer than its lease may hold a trial that another worker now runs: `orders` waits
    for the chief's answer before it lets such a process go on.

    Args:
      client: the connection to the chief.
      worker: this worker's id.
      process: this process's id, see `Study.ask`.
      current: the trial to report.
      every_seconds: time between heartbeats.
      lease_seconds: how long a lease lasts without one.
      grace_seconds: how long a trial that was taken away may go on.
      leave: ends the process.
    """

    def __init__(
        self,
        client: ChiefClient,
        worker: str,
        process: str,
        current: CurrentTrial,
        *,
        every_seconds: float,
        lease_seconds: float,
        grace_seconds: float,
        leave: Callable[[int], None] = os._exit,
    ) -> None:
        self._client = client
        self._worker = worker
        self._process = process
        self._current = current
        self._every = every_seconds
        self._lease = lease_seconds
        self._grace = grace_seconds
        self._leave = leave
        self._stopped = threading.Event()
        self._lock = threading.Condition()
        self._heard = time.monotonic()
        self._away = False
        self._orders: tuple[int, Directive, str] | None = None
        self._overdue: tuple[str, float] | None = None
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begins to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self._thread.join()

    def orders(self) -> tuple[Directive, str]:
        """The chief's latest orders for the running trial, and why; CONTINUE if there are none since it began.

        After a silence longer than the lease this waits briefly for an answer, once: an unreachable chief must not
        block the training.
        """
        with self._lock:
            if not self._fresh() and not self._away:
                self._away = not self._lock.wait_for(self._fresh, timeout=2 * self._every)
            if self._orders is None or self._orders[0] != self._current.stay:
                return Directive.CONTINUE, ""
            return self._orders[1], self._orders[2]

    def _fresh(self) -> bool:
        return time.monotonic() - self._heard <= self._lease

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            began = time.monotonic()
            stay, trial_id = self._current.stay, self._current.held
            beat = messages.Heartbeat(self._worker, trial_id, self._current.epochs, self._process)
            try:
                answer = self._client.ask(beat, timeout=self._every * 2)
            except ChiefUnreachable:
                _LOG.warning("heartbeat: no chief for too long")
                self._leave(ExitCode.CHIEF_LOST)
                return
            except ChiefRefused as error:
                # Ending the thread would not help the trial: its lease would expire.
                _LOG.warning("heartbeat: %s", error)
                continue
            if trial_id is not None:
                self._take(trial_id, stay, answer.directive, answer.reason)
            with self._lock:
                self._heard, self._away = began, False
                self._lock.notify_all()

    def _take(self, trial_id: str, stay: int, directive: Directive, reason: str) -> None:
        with self._lock:
            self._orders = (stay, directive, reason)
        if directive is not Directive.ABANDON or self._current.held != trial_id:
            self._overdue = None
            return
        if self._overdue is None or self._overdue[0] != trial_id:
            _LOG.warning("trial %s: %s", trial_id, reason)
            self._overdue = (trial_id, time.monotonic() + self._grace)
        elif time.monotonic() > self._overdue[1]:
            _LOG.warning("trial %s does not end by itself; this worker starts afresh", trial_id)
            self._leave(ExitCode.ABANDONED)
