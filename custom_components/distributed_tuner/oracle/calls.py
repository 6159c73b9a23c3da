"""Calls to an oracle, which may be a user's code: whatever it raises is reported as the oracle's error."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

from keras_tuner.src.engine import oracle as oracle_module

from custom_components.distributed_tuner.errors import storable
from custom_components.distributed_tuner.record import cause


class OracleError(Exception):
    """The oracle itself raised, or returned something unusable: it can suggest no further trials.

    Not a RuntimeError: a context manager takes one caused by a StopIteration for Python's own, and unwraps it.
    """


class OracleCalls:
    """Calls one oracle, in one thread."""

    def __init__(self, oracle: oracle_module.Oracle) -> None:
        self._oracle = oracle

    def call(self, method: str, *args: Any, others: int = 0, **kwargs: Any) -> Any:
        """Calls a method of the oracle.

        Args:
          method: the method's name.
          args: its arguments.
          others: how many other trials are running, for the error message.
          kwargs: its keyword arguments.

        Returns:
          What it returned.

        Raises:
          OracleError: it raised.
        """
        with self.guarded(method, others):
            try:
                return getattr(self._oracle, method)(*args, **kwargs)
            except BaseException:
                # keras-tuner does not release its lock on errors, which would block every later call.
                lock = oracle_module.LOCKS[self._oracle]
                oracle_module.THREADS[self._oracle] = None
                if lock.locked():
                    lock.release()
                raise

    @contextlib.contextmanager
    def guarded(self, method: str, others: int = 0) -> Iterator[None]:
        """Turns whatever is raised within, by this method of the oracle, into an OracleError."""
        try:
            yield
        except BaseException as error:
            # `sys.exit` too: nothing but the oracle runs in here.
            words = f"{type(self._oracle).__name__}.{method} raised {cause.of_error(error)}"
            words += hint(self._oracle, others)
            raise OracleError(f"{words}\n{storable(traceback.format_exc())}") from error


def hint(oracle: oracle_module.Oracle, running: int) -> str:
    """A hint to add to the error of a user's oracle that raised while `running` other trials ran; else empty."""
    if not running or type(oracle).__module__.startswith("keras_tuner."):
        return ""
    trials = "another trial" if running == 1 else f"{running} other trials"
    return (
        f". That was while {trials} ran, and a trial that runs has no score yet: if {type(oracle).__name__} reads the "
        "result of the trial started last, it can have one trial at a time. Set num_workers=1 then (WORKERS=1, "
        "num_parallel_trials=1), or have it read those that have ended (oracle.end_order)"
    )
