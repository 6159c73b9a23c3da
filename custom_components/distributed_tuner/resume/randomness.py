"""A seed for each execution, so that it does not matter which worker runs it, after what, and in how many pieces."""

from __future__ import annotations

import hashlib

from tensorflow import keras
from tensorflow.python.eager import context


def make_restorable() -> None:
    """Makes Keras layers draw from generators with a state that can be stored, not from stateful operations.

    Called before the user's code, which may undo it.
    """
    keras.backend.experimental.enable_tf_random_generator()


def users_seed() -> int | None:
    """What the user gave to `tf.random.set_seed` or `keras.utils.set_random_seed`, None if neither was called."""
    seed: int | None = context.global_seed()
    return seed


def seed_for(base: int | None, trial_id: str, attempt: int, execution: int) -> int:
    """The seed of one execution: another one for each argument that differs, in 0 … 2**31 - 1.

    Args:
      base: the user's seed.
      trial_id: the trial.
      attempt: a trial that failed is tried again with other numbers.
      execution: counted from 0; -1 for what a trial does outside executions.
    """
    text = f"{base}/{trial_id}/{attempt}/{execution}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def sow(seed: int) -> None:
    """Seeds Python, NumPy, TensorFlow and Keras. What the user's code seeds later on holds."""
    keras.utils.set_random_seed(seed)
