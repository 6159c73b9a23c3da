"""The order of the input after some epochs."""

from __future__ import annotations

import gc

import pytest
import tensorflow as tf

from custom_components.distributed_tuner.resume.input_position import InputPosition, reshuffles, skip_passes


def passes(data: tf.data.Dataset, count: int) -> list[list[int]]:
    return [[int(row) for batch in data for row in batch] for _ in range(count)]


def rows() -> tf.data.Dataset:
    return tf.data.Dataset.range(20).shuffle(20, seed=4).map(lambda row: row + 1).batch(6).prefetch(2)


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


def test_skip_passes_goes_on_where_they_would_have_ended() -> None:
    expected = passes(rows(), 5)[3:]
    data = rows()
    skip_passes(data, 3)
    assert passes(data, 2) == expected


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
