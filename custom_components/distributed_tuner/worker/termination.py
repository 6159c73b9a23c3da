"""SIGTERM: a worker gives its trial back, but first finishes the current epoch if finished ones would be lost.

Short epochs are not saved one by one (`resume.pace`), and in the middle of one it is too late: the weights have moved
on. But the end of the epoch is near, and all finished epochs can be saved there.
"""

from __future__ import annotations

import logging
import os
import signal
import threading

from custom_components.distributed_tuner.errors import ExitCode, SearchError
from custom_components.distributed_tuner.host import children, fork_gate
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial

_LOG = logging.getLogger(__name__)


class Departure:
    """Shared by the training and the thread that waits for the signal. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted = False
        self._at_stake: float | None = None

    @property
    def wanted(self) -> bool:
        """Whether the worker was told to exit: the end of this epoch is the last chance to save it."""
        with self._changed:
            return self._wanted

    def at_stake(self, epoch_seconds: float) -> None:
        """There are finished epochs that are not saved; they can be once an epoch of this length has ended."""
        with self._changed:
            self._at_stake = epoch_seconds

    def safe(self) -> None:
        """No finished epoch is unsaved any more."""
        with self._changed:
            self._at_stake = None
            self._changed.notify_all()

    def wait(self, patience_seconds: float) -> None:
        """Tells the training that the worker is to exit, and waits until that would lose no finished epoch.

        Args:
          patience_seconds: the longest wait; there is none if an epoch takes longer than that.
        """
        with self._changed:
            self._wanted = True
            if self._at_stake is not None and self._at_stake <= patience_seconds:
                self._changed.wait_for(lambda: self._at_stake is None, timeout=patience_seconds)


def give_back_on_sigterm(
    client: ChiefClient,
    worker: str,
    process: str,
    current: CurrentTrial,
    departure: Departure,
    *,
    patience_seconds: float,
) -> None:
    """On SIGTERM, and Ctrl-C unless it is ignored, gives the trial back to the chief and ends the process.

    At once, unless finished epochs can be saved at the end of the current one: see `Departure`.

    Args:
      client: the connection to the chief.
      worker: this worker's id.
      process: this process's id, see `Study.ask`.
      current: the trial at hand.
      departure: informs the training.
      patience_seconds: the longest wait for an epoch's end, and then for the chief.
    """
    wakeup = children.Wakeup()
    ending = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        ending.append(signal.SIGINT)
    handler = wakeup.tell
    for number in ending:
        signal.signal(number, handler)
    children.make_ordinary(wakeup.close, handler, ending)
    fork_gate.GATE.watch()

    def wait() -> None:
        told = wakeup.wait(ending)
        _LOG.warning("%s: this worker ends", told.name)
        departure.wait(patience_seconds)
        give_back(client, worker, process, current, patience_seconds=patience_seconds)
        logging.shutdown()
        os._exit(ExitCode.PREEMPTED)

    threading.Thread(target=wait, name="sigterm", daemon=True).start()


def give_back(
    client: ChiefClient, worker: str, process: str, current: CurrentTrial, *, patience_seconds: float
) -> None:
    """Gives the trial at hand, if any, back to the chief, so that it goes to another worker.

    Args:
      client: the connection to the chief.
      worker: this worker's id.
      process: this process's id, see `Study.ask`.
      current: the trial at hand.
      patience_seconds: how long to retry. After that the trial's lease will expire.
    """
    trial_id = current.held
    if trial_id is None:
        return
    try:
        told = messages.Release(worker, trial_id, process)
        client.ask(told, timeout=2.0, patience_seconds=patience_seconds)
        _LOG.warning("trial %s is given back", trial_id)
    except SearchError as error:
        # The lease will expire.
        _LOG.warning("trial %s could not be given back: %s", trial_id, error)
