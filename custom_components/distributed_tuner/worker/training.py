"""The only hook into `keras.Model.fit`: counts epochs, carries out the chief's orders, saves the state of the fit."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from custom_components.distributed_tuner.study.answers import Directive
from custom_components.distributed_tuner.worker.resume.executions import Executions
from custom_components.distributed_tuner.worker.resume.fit import KeptFit


class TrialAbandoned(RuntimeError):
    """The chief gave the trial to another worker, or ended it."""


class _Guard(keras.callbacks.Callback):
    """Put first among a fit's callbacks, so that none of them writes files of a trial that another worker now runs."""

    def __init__(self, on_epoch: Callable[[], tuple[Directive, str]]) -> None:
        super().__init__()
        self._on_epoch = on_epoch
        self.directive = Directive.CONTINUE
        self.reason = ""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Reports the epoch and receives the chief's orders."""
        self.directive, self.reason = self._on_epoch()
        if self.directive is Directive.ABANDON:
            raise TrialAbandoned(self.reason)


class _Follower(keras.callbacks.History):
    """Put last among a fit's callbacks, as the history that the fit returns, including earlier processes' epochs."""

    def __init__(
        self,
        guard: _Guard,
        kept: KeptFit | None,
        others: Sequence[keras.callbacks.Callback],
        epochs: int,
        cut: Callable[[], None],
        on_cut: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._guard = guard
        self._epochs = epochs
        self._kept = kept
        self._others = others
        self._cut = cut
        self._on_cut = on_cut

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Restores an earlier process's state of this fit."""
        super().on_train_begin(logs)
        if self._kept is not None:
            self._kept.begin(self, self._others)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves the epoch, and ends the training if the chief ordered it."""
        super().on_epoch_end(epoch, logs)
        finish = self._guard.directive is Directive.FINISH
        if self._kept is not None:
            self._kept.save(self, last=finish)
        if finish:
            # The order may come when the training ends anyway: at its last epoch, or because a callback stopped it.
            if epoch + 1 < self._epochs and not self.model.stop_training:
                self._on_cut(self._guard.reason)
            self.model.stop_training = True
            self._cut()


@contextlib.contextmanager
def followed(
    on_epoch: Callable[[], tuple[Directive, str]],
    executions: Executions | None = None,
    on_cut: Callable[[str], None] = lambda reason: None,
) -> Iterator[None]:
    """Within it every `fit` calls `on_epoch` after each epoch and does what that returns.

    FINISH stops the training after that epoch, so that the trial completes with its best epoch so far; ABANDON raises
    TrialAbandoned out of `fit`. A fit inside a fit (in a callback, say) is left alone.

    Args:
      on_epoch: called after each epoch.
      executions: keeps the state of each fit; if None, no state is kept.
      on_cut: called with the reason of a FINISH that ends a training which would have gone on.
    """
    original = keras.Model.fit
    signature = inspect.signature(original)
    cut = executions.cut if executions is not None else lambda: None
    busy = False

    @functools.wraps(original)
    def fit(self: keras.Model, *args: Any, **kwargs: Any) -> Any:
        nonlocal busy
        if busy:
            return original(self, *args, **kwargs)
        bound = signature.bind(self, *args, **kwargs)
        callbacks = bound.arguments.get("callbacks")
        epochs = bound.arguments.get("epochs", 1)
        guard = _Guard(on_epoch)
        kept = None
        if isinstance(callbacks, keras.callbacks.CallbackList):
            # Set up by the caller, including its history: the fit is followed, but its state is not kept.
            follower = _Follower(guard, None, (), epochs, cut, on_cut)
            follower.set_model(self)
            callbacks.callbacks = [guard, *callbacks.callbacks, follower]
        else:
            others = tf.nest.flatten(callbacks) if callbacks is not None else []
            if executions is not None and not _spans_processes(self):
                kept = executions.next_fit()
            bound.arguments["callbacks"] = [guard, *others, _Follower(guard, kept, others, epochs, cut, on_cut)]
        busy = True
        try:
            if kept is not None:
                kept.prepare(bound.arguments)
            result = original(*bound.args, **bound.kwargs)
        finally:
            busy = False
            if kept is not None:
                kept.end(self)
        if executions is not None:
            executions.trained(self)
        return result

    keras.Model.fit = fit
    try:
        yield
    finally:
        keras.Model.fit = original


def _spans_processes(model: keras.Model) -> bool:
    """Whether the model's strategy spans several processes, and so has its own fault tolerance."""
    strategy = model.distribute_strategy
    return bool(strategy._should_use_with_coordinator or strategy.extended._in_multi_worker_mode())
