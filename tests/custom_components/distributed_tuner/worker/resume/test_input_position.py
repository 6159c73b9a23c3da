"""The order of the input after some epochs."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import tensorflow as tf
from keras.src.engine import data_adapter

from custom_components.distributed_tuner.worker.resume.input_position import (
    InputPosition,
    reshuffles,
    skip_passes,
    skip_validations,
)


def passes(data: tf.data.Dataset, count: int) -> list[list[int]]:
    return [[int(row) for batch in data for row in batch] for _ in range(count)]


def rows() -> tf.data.Dataset:
    return tf.data.Dataset.range(20).shuffle(20, seed=4).map(lambda row: row + 1).batch(6).prefetch(2)


def chained() -> tf.data.Dataset:
    return tf.data.Dataset.range(20).shuffle(20, seed=1).map(lambda row: row * 2).shuffle(7, seed=2)


def files() -> tf.data.Dataset:
    """As rows of files come: the files in any order, then the rows, then the batches."""
    rows_of = (
        tf.data.Dataset.range(4).shuffle(4, seed=1).interleave(lambda file: tf.data.Dataset.range(3).map(file.__add__))
    )
    return rows_of.shuffle(5, seed=2).batch(4).shuffle(2, seed=3).prefetch(1)


def test_rewind_brings_back_the_first_order() -> None:
    data, position = rows(), InputPosition()
    position.rewind(data)
    first = passes(data, 3)
    assert len({tuple(order) for order in first}) == 3
    position.rewind(data)
    assert passes(data, 3) == first


def test_rewind_reaches_every_shuffle_of_a_pipeline() -> None:
    other = tf.data.Dataset.range(20, 40).shuffle(7, seed=1)
    data = tf.data.Dataset.zip((tf.data.Dataset.range(20).shuffle(5, seed=2), other)).map(lambda a, b: [a, b])
    position = InputPosition()
    position.rewind(data)
    first = passes(data, 2)
    position.rewind(data)
    assert passes(data, 2) == first


@pytest.mark.parametrize("make", [lambda: rows().unbatch(), chained], ids=["one", "chained"])
def test_rewind_knows_a_shuffle_in_data_sets_that_are_derived_from_it(make: Callable[[], tf.data.Dataset]) -> None:
    def read(data: tf.data.Dataset) -> list[list[int]]:
        return passes(data, 2)

    def derived(position: InputPosition, shared: tf.data.Dataset, size: int) -> list[list[int]]:
        own = shared.batch(size).repeat(2)
        position.rewind(own)
        return read(own)

    fresh = {size: derived(InputPosition(), make(), size) for size in (3, 4)}
    shared, position = make(), InputPosition()
    for size in (3, 4, 3):
        assert derived(position, shared, size) == fresh[size]


def test_rewind_reaches_a_shuffle_before_one_that_each_execution_makes() -> None:
    def own(position: InputPosition, shared: tf.data.Dataset) -> list[list[int]]:
        data = shared.shuffle(20, seed=9).batch(5)
        position.rewind(data)
        return passes(data, 2)

    shared, position = rows().unbatch(), InputPosition()
    assert own(position, shared) == own(position, shared) == own(InputPosition(), rows().unbatch())


def test_rewind_knows_a_shuffle_that_training_and_validation_share() -> None:
    def split(position: InputPosition, shared: tf.data.Dataset) -> list[list[int]]:
        train, checked = shared.skip(6).batch(4), shared.take(6).batch(4)
        position.rewind(train)
        position.rewind(checked)
        return [order for _ in range(2) for data in (train, checked) for order in passes(data, 1)]

    shared, position = rows().unbatch(), InputPosition()
    first = split(position, shared)
    assert split(position, shared) == first == split(InputPosition(), rows().unbatch())


def test_rewind_all_finds_the_data_sets_among_arguments() -> None:
    position, held = InputPosition(), [rows() for _ in range(4)]

    def orders() -> list[list[list[int]]]:
        position.rewind_all([held[0], (held[1], "other"), {"data": held[2]}, [held[3]], 7, None])
        return [passes(data, 2) for data in held]

    assert orders() == orders()


def repeated() -> tf.data.Dataset:
    return tf.data.Dataset.range(5).shuffle(5, seed=1).repeat(3).batch(4)


def joined() -> tf.data.Dataset:
    return tf.data.Dataset.range(5).concatenate(tf.data.Dataset.range(5).shuffle(5, seed=1)).batch(4)


def twice() -> tf.data.Dataset:
    """One shuffle, read in two places, behind others and by itself."""
    numbers = tf.data.Dataset.range(5).shuffle(5, seed=1)
    return tf.data.Dataset.zip((numbers.shuffle(3, seed=2), numbers)).map(lambda a, b: [a, b])


@pytest.mark.parametrize("make", [rows, repeated, joined, files, twice])
def test_skip_passes_goes_on_where_they_would_have_ended(make: Callable[[], tf.data.Dataset]) -> None:
    expected = passes(make(), 5)[3:]
    data = make()
    skip_passes(data, 3)
    assert passes(data, 2) == expected


# Reading a part of `repeated` leaves its generator wherever TensorFlow's own reading ahead got to.
@pytest.mark.parametrize(
    ("make", "steps"),
    [(rows, None), (rows, 1), (rows, 2), (rows, 4), (repeated, None), (joined, None), (files, None), (files, 1)],
)
def test_skip_validations_goes_on_where_keras_would(make: Callable[[], tf.data.Dataset], steps: int | None) -> None:
    model = tf.keras.Sequential([tf.keras.layers.Reshape((1,), input_shape=())])
    model.compile()
    seen, skipped = make(), make()
    for _ in range(3):
        handler = data_adapter.DataHandler(seen, steps_per_epoch=steps, model=model)
        for _, iterator in handler.enumerate_epochs():
            with handler.catch_stop_iteration():
                for _ in handler.steps():
                    next(iterator)
    skip_validations(skipped, 3, steps)
    assert passes(skipped, 2) == passes(seen, 2)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (rows(), True),
        (tf.data.Dataset.range(3).shuffle(3), False),  # no seed: another order in each process anyway
        (tf.data.Dataset.range(3).shuffle(3, seed=1, reshuffle_each_iteration=False), False),
        (tf.data.Dataset.range(3), False),
        (tf.data.Dataset.zip((tf.data.Dataset.range(3), rows())), True),
        ([1, 2], False),
        (None, False),
    ],
)
def test_reshuffles(data: object, expected: bool) -> None:
    assert reshuffles(data) is expected


def test_a_data_set_is_not_kept_alive() -> None:
    position, data = InputPosition(), rows()
    position.rewind(data)
    assert len(position._unread) == 1
    del data
    gc.collect()
    assert len(position._unread) == 0
