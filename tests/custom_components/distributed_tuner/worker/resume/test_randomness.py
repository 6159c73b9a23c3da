"""Seeds of executions."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from custom_components.distributed_tuner.worker.resume import randomness


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


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    enabled = keras.backend.experimental.is_tf_random_generator_enabled()
    yield
    if not enabled:
        keras.backend.experimental.disable_tf_random_generator()


def noise(generator: tf.random.Generator) -> Callable[[], float]:
    return lambda: float(generator.normal(()))


def built_dropout(seed: int | None) -> Callable[[], float]:
    layer = keras.layers.Dropout(0.5, seed=seed)
    layer.build((8,))
    return lambda: float(tf.tensordot(layer(tf.ones(16), training=True), 2.0 ** tf.range(16.0), 1))


def fresh_dropout(seed: int | None) -> Callable[[], float]:
    layer = keras.layers.Dropout(0.5, seed=seed)
    return lambda: float(tf.tensordot(layer(tf.ones(16), training=True), 2.0 ** tf.range(16.0), 1))


def initializer(seed: int | None) -> Callable[[], float]:
    made = keras.initializers.GlorotUniform(seed)
    return lambda: float(made((1, 1))[0, 0])


@pytest.mark.filterwarnings("ignore:The initializer")
@pytest.mark.parametrize(
    ("make", "seeded"),
    [
        (lambda: noise(tf.random.Generator.from_seed(3)), True),
        (lambda: built_dropout(3), True),
        (lambda: fresh_dropout(3), True),
        (lambda: initializer(3), True),
        (lambda: built_dropout(None), False),
        (lambda: fresh_dropout(None), False),
        (lambda: initializer(None), False),
    ],
    ids=["generator", "built dropout 3", "dropout 3", "initializer 3", "built dropout", "dropout", "initializer"],
)
def test_a_generator_that_executions_share_begins_afresh_with_each_of_them(make: Any, seeded: bool) -> None:
    def process(*seeds: int) -> list[list[float]]:
        """What executions with these seeds draw in a process of their own."""
        randomness.make_restorable()
        draw = make()
        generators, drawn = randomness.Generators(), []
        for seed in seeds:
            randomness.sow(seed, generators)
            drawn.append([draw(), draw(), float(tf.random.uniform(()))])
        return drawn

    first, second, third = process(1, 2, 1)
    assert first == third and process(2, 1) == [second, first]
    assert (first[:2] == second[:2]) == seeded


def test_generators_are_not_kept_alive() -> None:
    randomness.make_restorable()
    draw = noise(tf.random.Generator.from_seed(3))
    generators = randomness.Generators()
    assert len(randomness._made) == 1
    del draw
    gc.collect()
    assert not randomness._made
    generators.rewind(1)


def test_what_keras_draws_in_the_users_function_is_the_same_in_every_process() -> None:
    def weight() -> float:
        randomness.make_restorable()
        layer = keras.layers.Dense(1)
        layer.build((1, 1))
        return float(layer.kernel[0, 0])

    first = weight()
    random.seed(None)
    assert weight() == first
