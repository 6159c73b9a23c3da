"""Lets each trial and each execution begin as if it were the first one of its process.

The settings at the start of the first trial are those that `tuner_fn` and the tuner's own `search` chose for all
trials; later changes by a trial affect only that trial. So scores depend neither on the number of workers, nor on what
each of them ran before, nor on which of them were killed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from custom_components.distributed_tuner.worker.resume import randomness
from custom_components.distributed_tuner.worker.resume.global_state import GlobalState
from custom_components.distributed_tuner.worker.resume.randomness import Generators

_LOG = logging.getLogger(__name__)

# Stands for the number of an execution: what a trial does outside its executions.
_OUTSIDE = -1


class Isolation:
    """The state that the trials of a tuner begin with. The seed that the user set, if any, is read on construction.

    Args:
      tuner: the user's tuner.
    """

    def __init__(self, tuner: Any) -> None:
        self._seed = randomness.users_seed()
        self._distributed = getattr(tuner, "distribution_strategy", None) is not None
        self._first: tuple[GlobalState, Generators] | None = None

    def begin_trial(self, trial_id: str, attempt: int) -> None:
        """Called before any of the trial's code runs."""
        if self._first is None:
            self._first = GlobalState(), Generators(begin=not self._distributed)
        elif changed := self._first[0].put_back():
            _LOG.info("put back to what it was before this process's first trial: %s", ", ".join(changed))
        self._sow(trial_id, attempt, _OUTSIDE)

    @contextlib.contextmanager
    def execution(self, trial_id: str, attempt: int, number: int) -> Iterator[None]:
        """Within it an execution, counted from 0, runs, or is skipped because it ran before, with the same effect."""
        before = GlobalState()
        self._sow(trial_id, attempt, number)
        try:
            yield
        finally:
            before.put_back()
            self._sow(trial_id, attempt, _OUTSIDE - 1 - number)

    def _sow(self, trial_id: str, attempt: int, execution: int) -> None:
        generators = self._first[1] if self._first is not None else None
        randomness.sow(randomness.seed_for(self._seed, trial_id, attempt, execution), generators)
