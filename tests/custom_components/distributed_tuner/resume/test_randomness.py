"""Seeds of executions."""

from __future__ import annotations

import random

import numpy as np
import tensorflow as tf

from custom_components.distributed_tuner.resume import randomness


def test_each_execution_has_a_seed_of_its_own() -> None:
    arguments = [
        (base, trial, attempt, execution)
        for base in (None, 1)
        for trial in "01"
        for attempt in (0, 1)
        for execution in (-1, 0, 1)
    ]
    seeds = [randomness.seed_for(*each) for each in arguments]
    assert len(set(seeds)) == len(arguments)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == [randomness.seed_for(*each) for each in arguments]


def test_sow_seeds_every_source() -> None:
    def draw() -> tuple[float, ...]:
        weights = tf.keras.layers.Dense(1)
        weights.build((1, 1))
        return random.random(), np.random.rand(), float(tf.random.uniform(())), float(weights.kernel[0, 0])

    randomness.sow(5)
    first = draw()
    second = draw()
    randomness.sow(5)
    assert draw() == first
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_the_users_seed_is_seen() -> None:
    tf.random.set_seed(None)
    assert randomness.users_seed() is None
    tf.random.set_seed(8)
    assert randomness.users_seed() == 8
    tf.random.set_seed(None)
