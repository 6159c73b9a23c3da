"""A seed for each execution, so that it does not matter which worker runs it, after what, and in how many pieces.

Generators that the user's `tuner_fn` makes, directly or inside layers and initializers, are shared by all executions of
a process. Each execution finds them as if it were the first: those that the user seeded are reset to their initial
state, the others are seeded by the execution.

Written against TensorFlow and Keras 2.15.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import random
import weakref
from typing import Any

import tensorflow as tf
from keras.src import backend
from tensorflow import keras
from tensorflow.python.eager import context


@dataclasses.dataclass(frozen=True)
class _Made:
    """A generator, and the seed that it was made with, if it is one of Keras's."""

    generator: weakref.ref[Any]
    seed: int | None


# In order of creation.
_made: dict[int, _Made] = {}
_numbers = itertools.count()


def make_restorable() -> None:
    """Makes Keras layers draw from generators whose state can be stored, not from stateful operations.

    Called before the user's code, which may undo it. Seeds that Keras draws there are the same in every process, unless
    the user seeds Keras.
    """
    keras.backend.experimental.enable_tf_random_generator()
    backend._SEED_GENERATOR.generator = random.Random(0)
    for kind in (tf.random.Generator, backend.RandomGenerator):
        _record(kind)
    _made.clear()


def _record(kind: Any) -> None:
    """Makes a class record its instances."""
    original = kind.__init__
    if getattr(original, "_records", False):
        return

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        number = next(_numbers)
        ref = weakref.ref(self, lambda gone: _made.pop(number, None))
        _made[number] = _Made(ref, getattr(self, "_seed", None))

    init._records = True  # type: ignore[attr-defined]
    kind.__init__ = init


class Generators:
    """The current state of all generators made since `make_restorable`; keeps none of them alive.

    Args:
      begin: whether to initialize now those of Keras's that are not yet: otherwise that would happen in the first
        execution of a process, and in no later one. Not under a distribution strategy, which needs them in its scope.
    """

    def __init__(self, *, begin: bool = True) -> None:
        made = [(each.generator(), each) for each in list(_made.values())]
        self._states = [
            (each.generator, live.state.read_value()) for live, each in made if isinstance(live, tf.random.Generator)
        ]
        self._of_keras = [each for live, each in made if isinstance(live, backend.RandomGenerator)]
        if begin:
            for live, _ in made:
                if isinstance(live, backend.RandomGenerator):
                    live._maybe_init()

    def rewind(self, seed: int) -> None:
        """Resets all of them to their initial state, which `seed` determines for those that the user did not seed."""
        for ref, state in self._states:
            if (generator := ref()) is not None:
                generator.state.assign(state)
        for number, made in enumerate(self._of_keras):
            if (generator := made.generator()) is None or not generator._built:
                continue
            own = _number(f"{seed}/{number}") if made.seed is None else made.seed
            if generator._rng_type == generator.RNG_STATEFUL:
                generator._generator.reset_from_seed(own)
            elif generator._rng_type == generator.RNG_STATELESS or made.seed is not None:
                generator._seed = own


def users_seed() -> int | None:
    """The seed given to `tf.random.set_seed` or `keras.utils.set_random_seed`, None if neither was called."""
    seed: int | None = context.global_seed()
    return seed


def seed_for(base: int | None, trial_id: str, attempt: int, execution: int) -> int:
    """The seed of one execution, in 0 … 2**31 - 1, which depends on each of the arguments.

    Args:
      base: the user's seed.
      trial_id: the trial.
      attempt: the attempt at it: a retry gets other random numbers.
      execution: counted from 0; negative for what a trial does outside executions.
    """
    return _number(f"{base}/{trial_id}/{attempt}/{execution}")


def sow(seed: int, generators: Generators | None = None) -> None:
    """Seeds Python, NumPy, TensorFlow and Keras. Seeds that the user's code sets later take precedence.

    Args:
      seed: the seed.
      generators: the generators to rewind.
    """
    keras.utils.set_random_seed(seed)
    if generators is not None:
        generators.rewind(seed)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
