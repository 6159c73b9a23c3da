"""Lets each trial and each execution begin as if it were the first one of its process.

What holds when the first trial begins is what `tuner_fn` and the tuner's own `search` wanted for all of them; what a
trial changes after that is its own. So scores depend neither on the number of workers, nor on which of them ran what
before, nor on which of them were killed.
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

# In the place of the number of an execution: what a trial does outside of them.
_OUTSIDE = -1


class Isolation:
    """The state that the trials of a tuner begin with. The seed that the user set, if any, is read when it is made.

    Args:
      tuner: the user's tuner.
    """

    def __init__(self, tuner: Any) -> None:
        self._seed = randomness.users_seed()
        self._distributed = getattr(tuner, "distribution_strategy", None) is not None
        self._first: tuple[GlobalState, Generators] | None = None

    def begin_trial(self, trial_id: str, attempt: int) -> None:
        """Called before any code of the trial's."""
        if self._first is None:
            self._first = GlobalState(), Generators(begin=not self._distributed)
        elif changed := self._first[0].put_back():
            _LOG.info("put back to what it was before this process's first trial: %s", ", ".join(changed))
        self._sow(trial_id, attempt, _OUTSIDE)

    @contextlib.contextmanager
    def execution(self, trial_id: str, attempt: int, number: int) -> Iterator[None]:
        """Within it an execution, counted from 0, runs, or is left out because it ran before: that is no difference."""
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
