"""Describes where an objective was not a finite number."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

_MAX_SPANS = 6


def reason(objective: str, values: Sequence[tuple[int, float]], *, after: str = "at step") -> str:
    """Why a trial has no score.

    Args:
      objective: its name.
      values: its values, none of them finite: (step or epoch, value).
      after: the words before a step or epoch.
    """
    return (
        f"the objective {objective!r} was {spans(values, after=after)}: the training diverged, or the metric is not "
        "defined for what the model predicts"
    )


def spans(values: Iterable[tuple[int, float]], *, after: str = "at step") -> str:
    """The values with their places: "nan after epochs 1 to 3, inf after epoch 4"; for the arguments see `reason`."""
    runs: list[tuple[str, int, int]] = []
    for place, value in sorted(values, key=lambda pair: pair[0]):
        if runs and runs[-1][0] == str(float(value)) and place - runs[-1][2] <= 1:
            runs[-1] = (runs[-1][0], runs[-1][1], place)
        else:
            runs.append((str(float(value)), place, place))
    told = [f"{value} {_places(after, first, last)}" for value, first, last in itertools.islice(runs, _MAX_SPANS)]
    return ", ".join([*told, *(["…"] if len(runs) > _MAX_SPANS else [])])


def _places(after: str, first: int, last: int) -> str:
    return f"{after} {first}" if first == last else f"{after}s {first} to {last}"
