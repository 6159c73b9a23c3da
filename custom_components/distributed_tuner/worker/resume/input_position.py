"""Advances the input of a training to where it would be after some epochs, without training.

A data set that reshuffles draws a new order for each pass from its own generator, which lives as long as the data set.
So the order in an execution would depend on the executions before it in the same process. Therefore a shuffle with a
seed is rewound to its first order when an execution or a training begins, so that every execution gets the orders that
the seed implies. Each execution may derive its own data set (`x.batch(...)`) from a shuffle that all of them share:
hence the shuffles are remembered, not the data sets.

Keras determines an unknown input length in the first epoch of a process, by a step beyond the end, which counts as a
step for the optimizer. A later process is given the length instead.

Written against TensorFlow and Keras 2.15, whose `DataHandler` has one iterator for each epoch or one for all of them,
according to the kind of input.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
from keras.src.engine import data_adapter
from tensorflow.python.data.ops import cache_op, concatenate_op, repeat_op, shuffle_op

# ExternalStatePolicy.IGNORE: even a data set that calls Python, say, has an unread iterator that can be saved.
_IGNORE_EXTERNAL_STATE = 1


class InputPosition:
    """Advances the training input of the next `fit`, if asked to. One training at a time."""

    def __init__(self) -> None:
        self._expected: tuple[int, int | None] | None = None
        self._training: weakref.ref[Any] | None = None
        self._unread: weakref.WeakKeyDictionary[tf.data.Dataset, tf.Tensor] = weakref.WeakKeyDictionary()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Within it `forward` takes effect."""
        original = data_adapter.DataHandler.enumerate_epochs

        def enumerate_epochs(handler: Any) -> Iterator[tuple[int, Any]]:
            if self._expected is not None:
                (epochs, steps), self._expected = self._expected, None
                self._training = weakref.ref(handler)
                if handler._inferred_steps is None:
                    handler._inferred_steps = steps
                if epochs and handler._initial_epoch < handler._epochs:
                    _forward(handler, epochs)
            return original(handler)

        data_adapter.DataHandler.enumerate_epochs = enumerate_epochs
        try:
            yield
        finally:
            data_adapter.DataHandler.enumerate_epochs = original

    def forward(self, epochs: int, steps: int | None) -> None:
        """Declares that the next input iterated over is a training's, and begins as if some epochs had been read.

        Args:
          epochs: how many; 0 at the beginning.
          steps: the steps of an epoch, as `steps` returned them in an earlier process; None if unknown.
        """
        self._expected = (epochs, steps)

    def steps(self) -> int | None:
        """The steps of an epoch of the running training; None while unknown."""
        handler = self._training() if self._training is not None else None
        return None if handler is None or handler._inferred_steps is None else int(handler._inferred_steps)

    def end(self) -> None:
        """The training is over, or failed before it read its input."""
        self._expected = self._training = None

    def rewind(self, data: Any) -> None:
        """Rewinds the seeded shuffles of a data set to where they were when first seen here.

        Args:
          data: a data set; other data is ignored.
        """
        shuffles = _shuffles(data)
        for shuffle in shuffles:
            if shuffle not in self._unread:
                self._unread[shuffle] = tf.raw_ops.SerializeIterator(
                    resource_handle=iter(shuffle)._iterator_resource, external_state_policy=_IGNORE_EXTERNAL_STATE
                )
        # From the last shuffle of a pipeline to the first: the iterator of one may draw from those before it.
        for shuffle in reversed(shuffles):
            # The state of an iterator includes that of the generator of its data set.
            tf.raw_ops.DeserializeIterator(
                resource_handle=iter(shuffle)._iterator_resource, serialized=self._unread[shuffle]
            )

    def rewind_all(self, arguments: Iterable[Any]) -> None:
        """Rewinds each data set among these values, and in tuples, lists and dicts among them."""
        for value in arguments:
            held = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else [value]
            for data in held:
                self.rewind(data)


def skip_passes(data: Any, passes: int) -> None:
    """Advances a data set with seeded shuffles as if it had been iterated over `passes` times; ignores other data."""
    if reshuffles(data):
        for _ in range(passes):
            _draw(data, steps=None)


def skip_validations(data: Any, validations: int, steps: int | None) -> None:
    """Advances a data set with seeded shuffles by some validations of a `fit`; ignores other data.

    Args:
      data: the validation data.
      validations: how many there were.
      steps: the `validation_steps` of the fit.
    """
    if not reshuffles(data):
        return
    whole = steps is None or steps == data.cardinality().numpy()
    for _ in range(validations):
        if whole:
            iter(data)  # `DataHandler` makes an unused iterator before that of the only epoch
        _draw(data, None if whole else steps)


def _draw(data: tf.data.Dataset, steps: int | None) -> None:
    """Makes the data set draw the orders that reading `steps` batches (all if None) would draw."""
    iterator = iter(data)  # draws the order of every shuffle that is reached without another one in between
    if _draws_while_read(data):
        for _ in iterator if steps is None else itertools.islice(iterator, steps):
            pass
    else:
        _draw_behind_shuffles(data)


def _draw_behind_shuffles(data: tf.data.Dataset) -> None:
    """Draws the orders of shuffles that feed another shuffle, which reads them only once it is read itself."""
    for source in filter(reshuffles, data._inputs()):
        if isinstance(data, shuffle_op._ShuffleDataset):
            iter(source)
        _draw_behind_shuffles(source)


def _draws_while_read(data: tf.data.Dataset) -> bool:
    late = (repeat_op._RepeatDataset, concatenate_op._ConcatenateDataset)
    return isinstance(data, late) or any(map(_draws_while_read, data._inputs()))


def reshuffles(data: Any) -> bool:
    """Whether this is a data set that draws an order for each pass, from a seed."""
    return bool(_shuffles(data))


def _shuffles(data: Any) -> list[tf.data.Dataset]:
    """The shuffles of a data set that draw an order for each pass, from a seed; each after those it reads from."""
    found: list[tf.data.Dataset] = []
    looked: dict[int, tf.data.Dataset] = {}

    def look(source: tf.data.Dataset) -> None:
        if id(source) in looked:
            return
        looked[id(source)] = source
        for before in source._inputs():
            look(before)
        if isinstance(source, shuffle_op._ShuffleDataset) and source._reshuffle_each_iteration:
            seeds = [tf.get_static_value(seed) for seed in (source._seed, source._seed2)]
            if any(seeds):  # two zeros ask for a random order
                found.append(source)

    if isinstance(data, tf.data.Dataset):
        look(data)
    return found


def caches_an_order(data: Any) -> bool:
    """Whether this is a data set with a cache behind a seeded shuffle: all passes have the order of the first one."""
    if not isinstance(data, tf.data.Dataset):
        return False
    behind = isinstance(data, cache_op.CacheDataset) and any(map(reshuffles, data._inputs()))
    return behind or any(map(caches_an_order, data._inputs()))


def _forward(handler: Any, epochs: int) -> None:
    adapter = handler._adapter
    if adapter.should_recreate_iterator():
        skip_passes(adapter.get_dataset(), epochs)
        for _ in range(epochs):
            if isinstance(adapter, data_adapter.KerasSequenceAdapter):
                next(iter(handler._dataset), None)  # draws the order of the batches
            adapter.on_epoch_end()
    elif handler._inferred_steps is not None:
        steps = epochs * handler._inferred_steps
        dataset = handler._dataset
        handler._dataset = dataset.skip(steps) if isinstance(dataset, tf.data.Dataset) else _Advanced(dataset, steps)


class _Advanced:
    """A data set of a distribution strategy, whose iterators begin some steps further on."""

    def __init__(self, dataset: Any, steps: int) -> None:
        self._dataset = dataset
        self._steps = steps

    def __iter__(self) -> Iterator[Any]:
        iterator = iter(self._dataset)
        for _ in range(self._steps):
            next(iterator)
        return iterator
