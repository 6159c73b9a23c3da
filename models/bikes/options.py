"""What a pipeline may ask of the bikes model's training through TFX's `custom_config`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, TypeVar

ALGORITHMS: Final = ("random", "bayesian", "hyperband", "grid")
"""The search algorithms of keras-tuner."""

_Options = TypeVar("_Options", bound="_FromConfig")


@dataclasses.dataclass(frozen=True)
class _FromConfig:
    """Options that are read from the keys of the same name; other keys are other components' business."""

    @classmethod
    def from_config(cls: type[_Options], config: Mapping[str, Any] | None) -> _Options:
        """Options from `custom_config`; the default stands where a key is absent.

        Raises:
          ValueError: a value is of the wrong type or out of range; the message names the key.
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in (config or {}).items() if name in fields})

    def __post_init__(self) -> None:
        """Checks each value."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "algorithm":
                if value not in ALGORITHMS:
                    raise ValueError(f"custom_config['algorithm'] is {value!r}: choose one of {', '.join(ALGORITHMS)}")
                continue
            least = 0 if field.name == "seed" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"custom_config[{field.name!r}] is {value!r}: give a whole number of at least {least}")


@dataclasses.dataclass(frozen=True)
class SearchOptions(_FromConfig):
    """Options of `tuner_fn`. `epochs` are those of one trial, with Hyperband those of its longest trials."""

    algorithm: str = "random"
    max_trials: int = 12
    epochs: int = 5
    executions_per_trial: int = 1
    batch_size: int = 64
    seed: int = 1


@dataclasses.dataclass(frozen=True)
class TrainOptions(_FromConfig):
    """Options of `run_fn`. `train_epochs` is the most: training ends once the eval error has risen for good."""

    train_epochs: int = 40
    batch_size: int = 64
    seed: int = 1
