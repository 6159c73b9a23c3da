"""Explains failures due to an input among the search's arguments that can be read only once, and was used up."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow import keras

from custom_components.distributed_tuner.oracle.missing_objective import IncompleteObjective

_LOG = logging.getLogger(__name__)

_WHAT_TO_DO = (
    "Give the search a tf.data.Dataset, a keras.utils.Sequence or arrays, or make the generator in HyperModel.fit"
)
# What Keras and our own code raise if there is nothing to read.
_RAN_OUT = (StopIteration, tf.errors.OutOfRangeError, IncompleteObjective)


class InputUsedUp(ValueError):
    """A trial found nothing to read."""


@contextlib.contextmanager
def told(tuner: Any) -> Iterator[None]:
    """Within it a trial that fails for lack of input says so, and input that trials take from each other is logged."""
    # Where keras-tuner runs a trial and takes its result.
    run_trial = tuner._run_and_update_trial
    trials = 0

    @functools.wraps(run_trial)
    def run(trial: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal trials
        once = {name: value for name, value in _named(args, kwargs).items() if _can_be_read_once(value)}
        trials += 1
        if once and trials == 2:
            _LOG.warning(
                "%s can be read once only: each trial goes on where this worker's last one stopped reading, so that "
                "scores depend on which trials a worker ran before. %s",
                _in_words(once),
                _WHAT_TO_DO,
            )
        try:
            return run_trial(trial, *args, **kwargs)
        except Exception as error:
            gone = {name: value for name, value in once.items() if _ran_out(error) and _is_empty(value)}
            if not once and trials > 1 and isinstance(error, StopIteration):
                raise InputUsedUp(
                    "an iterator had nothing left (StopIteration). If it is kept from one trial to the next, an "
                    "earlier trial of this worker read it to its end: make it anew in each trial"
                ) from error
            if not gone:
                raise
            raise InputUsedUp(
                f"{_in_words(gone)} has nothing left: it can be read once only, and was, by an earlier trial or "
                f"execution of this worker. {_WHAT_TO_DO}"
            ) from error

    tuner._run_and_update_trial = run
    try:
        yield
    finally:
        del tuner._run_and_update_trial


def _named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `search`, which become those of `fit`, by name."""
    return {**{f"argument {number}": value for number, value in enumerate(args, 1)}, **kwargs}


def _in_words(inputs: dict[str, Any]) -> str:
    return ", ".join(f"{name} ({type(value).__name__})" for name, value in inputs.items())


def _can_be_read_once(value: Any) -> bool:
    # A Sequence begins again by itself; that of a Keras image generator can be asked for its next item too.
    return isinstance(value, Iterator) and not isinstance(value, keras.utils.Sequence)


def _ran_out(error: BaseException) -> bool:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        # Keras raises this text if a training has not even a first step.
        if isinstance(link, _RAN_OUT) or "(Empty Logs)" in str(link):
            return True
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return False


def _is_empty(iterator: Iterator[Any]) -> bool:
    nothing = object()
    try:
        return next(iterator, nothing) is nothing
    except Exception:
        # The iterator has an error of its own, which a trial has raised or will raise.
        return False
