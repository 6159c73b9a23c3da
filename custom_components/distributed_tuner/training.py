"""Follows every `keras.Model.fit` of a trial: counts its epochs and carries out what the chief orders."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tensorflow import keras

from custom_components.distributed_tuner.answers import Directive


class TrialAbandoned(RuntimeError):
    """The chief gave the trial to somebody else or ended it."""


class _Follower(keras.callbacks.Callback):
    """Put at the end of a fit's callbacks."""

    def __init__(self, on_epoch: Callable[[], tuple[Directive, str]]) -> None:
        super().__init__()
        self._on_epoch = on_epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Reports the epoch and obeys."""
        directive, reason = self._on_epoch()
        if directive is Directive.ABANDON:
            raise TrialAbandoned(reason)
        if directive is Directive.FINISH:
            self.model.stop_training = True


@contextlib.contextmanager
def followed(on_epoch: Callable[[], tuple[Directive, str]]) -> Iterator[None]:
    """Within it every `fit` calls `on_epoch` after each epoch and does what it answers.

    FINISH stops the training after that epoch, so that the trial completes with its best epoch so far; ABANDON raises
    TrialAbandoned out of `fit`.
    """
    original = keras.Model.fit

    def fit(self: keras.Model, *args: Any, **kwargs: Any) -> Any:
        callbacks = kwargs.get("callbacks")
        follower = _Follower(on_epoch)
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(follower)
        else:
            kwargs["callbacks"] = [*(callbacks or []), follower]
        return original(self, *args, **kwargs)

    keras.Model.fit = fit
    try:
        yield
    finally:
        keras.Model.fit = original
