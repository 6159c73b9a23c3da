"""Hyperparameters laid out on axes of height 1, for parallel coordinates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from custom_components.distributed_tuner.record import formatting
from custom_components.distributed_tuner.record.record import Direction, HyperparameterValue

NOT_SET = "not set"

# Numbers with no more distinct values than this are drawn as evenly spaced choices.
MAX_CHOICES = 12
# A numeric axis that spans at least this factor is logarithmic, where half of the values lie low on a linear one.
LOG_FACTOR = 100.0
_LOW_ON_LINEAR = 0.2
# Where "not set" lies, and how much of a choice's share of the axis its trials fan out over.
_NOT_SET_POSITION = 0.0
_FLOOR_WITH_NOT_SET = 0.16
_FAN = 0.45
_MAX_TICKS = 14
_NAME_LINE = 18


@dataclasses.dataclass(frozen=True)
class Tick:
    """A labelled place on an axis; `position` is from 0 (bottom) to 1 (top)."""

    position: float
    label: str


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis: where each trial crosses it (0 to 1, in the order of the values given) and its ticks."""

    name: str
    positions: tuple[float, ...]
    ticks: tuple[Tick, ...]


def hyperparameter_axis(name: str, values: Sequence[HyperparameterValue | None]) -> Axis:
    """Lays out one hyperparameter; None marks a trial without it.

    Text, booleans and numbers with few distinct values that recur become evenly spaced choices, other numbers a linear
    or a logarithmic scale. The trials of one choice fan out a little in the order given, to be told apart.

    Args:
      name: the hyperparameter's name.
      values: its value in each trial.
    """
    present = [value for value in values if value is not None]
    floor = _FLOOR_WITH_NOT_SET if len(present) < len(values) else 0.0
    numbers = [float(value) for value in present if not isinstance(value, str | bool)]
    finite = len(numbers) == len(present) and all(math.isfinite(number) for number in numbers)
    if finite and not _few(numbers):
        positions, ticks = _scale(values, numbers, floor)
    else:
        positions, ticks = _choices(values, floor)
    if floor:
        ticks = (Tick(_NOT_SET_POSITION, NOT_SET), *ticks)
    return Axis(name, positions, ticks)


def score_axis(name: str, scores: Sequence[float], bounds: tuple[float, float]) -> Axis:
    """The objective as an axis from `bounds`; scores beyond them sit at the end, whose tick says so."""
    low, high = bounds
    if low == high:
        return Axis(name, tuple(0.5 for _ in scores), (Tick(0.5, formatting.number(low)),))
    positions = tuple(min(1.0, max(0.0, (score - low) / (high - low))) for score in scores)
    ticks = [Tick((tick - low) / (high - low), formatting.number(tick)) for tick in round_steps(low, high)]
    if max(scores) > high:
        ticks = [tick for tick in ticks if tick.position < 0.95]
        ticks.append(Tick(1.0, f"≥ {formatting.number(high)}"))
    if min(scores) < low:
        ticks = [tick for tick in ticks if tick.position > 0.05]
        ticks.insert(0, Tick(0.0, f"≤ {formatting.number(low)}"))
    return Axis(name, positions, tuple(ticks))


def readable_bounds(scores: Sequence[float], direction: Direction) -> tuple[float, float]:
    """The range of scores worth looking at: all of them, cut on the worse side at Tukey's outer fence.

    The fence lies three interquartile ranges beyond the worse quartile (Tukey, Exploratory Data Analysis, 1977).
    Without it one diverged trial flattens the differences between all the others.

    Args:
      scores: of the completed trials.
      direction: which scores are better.
    """
    ordered = sorted(scores)
    low, high = ordered[0], ordered[-1]
    lower, upper = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    spread = upper - lower
    if direction is Direction.MIN and spread > 0:
        fence = upper + 3 * spread
        high = max(score for score in ordered if score <= fence)
    elif direction is Direction.MAX and spread > 0:
        fence = lower - 3 * spread
        low = min(score for score in ordered if score >= fence)
    return low, high


def round_steps(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, in steps of 1, 2 or 5 times a power of ten; about as many as asked for."""
    rough = (high - low) / about
    if not (rough > 0 and math.isfinite(rough)):
        return [low]
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def name_lines(name: str) -> list[str]:
    """An axis's name on one line, or broken near its middle, after a separator, into two of at most 18 characters."""
    if len(name) <= _NAME_LINE - 4:
        return [name]
    breaks = [index + 1 for index, character in enumerate(name[:-1]) if not character.isalnum()]
    cut = min(breaks, key=lambda index: abs(index - len(name) / 2), default=len(name))
    return [formatting.shorten(line, _NAME_LINE) for line in (name[:cut], name[cut:]) if line]


def _few(numbers: Sequence[float]) -> bool:
    distinct = len(set(numbers))
    return distinct <= 3 or (distinct <= MAX_CHOICES and len(numbers) >= 2 * distinct)


def _choices(values: Sequence[HyperparameterValue | None], floor: float) -> tuple[tuple[float, ...], tuple[Tick, ...]]:
    distinct = {_identity(value): value for value in values if value is not None}
    levels = sorted(distinct.values(), key=lambda value: (isinstance(value, str), _order(value), str(value)))
    share = (1.0 - floor) / max(1, len(levels))
    centres = {_identity(level): floor + share * (index + 0.5) for index, level in enumerate(levels)}
    every = math.ceil(len(levels) / _MAX_TICKS)
    ticks = tuple(
        Tick(centres[_identity(level)], formatting.shorten(formatting.hyperparameter(level), 16))
        for index, level in enumerate(levels)
        if index % every == 0
    )
    counts: dict[object, int] = {}
    for value in values:
        counts[_identity(value)] = counts.get(_identity(value), 0) + 1
    seen: dict[object, int] = {}
    positions = []
    for value in values:
        key = _identity(value)
        nth = seen[key] = seen.get(key, 0) + 1
        width = min(_FAN * share, 0.012 * (counts[key] - 1))
        offset = width * (0.5 - (nth - 0.5) / counts[key])
        positions.append(_NOT_SET_POSITION if value is None else centres[key] + offset)
    return tuple(positions), ticks


def _scale(
    values: Sequence[HyperparameterValue | None], numbers: Sequence[float], floor: float
) -> tuple[tuple[float, ...], tuple[Tick, ...]]:
    low, high = min(numbers), max(numbers)
    median = sorted(numbers)[len(numbers) // 2]
    logarithmic = low > 0 and high / low >= LOG_FACTOR and median <= low + _LOW_ON_LINEAR * (high - low)

    def place(number: float) -> float:
        share = math.log(number / low) / math.log(high / low) if logarithmic else (number - low) / (high - low)
        return floor + (1.0 - floor) * share

    if logarithmic:
        exponents = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        every = math.ceil(len(exponents) / _MAX_TICKS)
        marks = [10.0**exponent for exponent in exponents][::every]
    else:
        marks = round_steps(low, high)
    ticks = tuple(Tick(place(mark), formatting.number(mark)) for mark in marks)
    return tuple(_NOT_SET_POSITION if value is None else place(float(value)) for value in values), ticks


def _identity(value: HyperparameterValue | None) -> object:
    # In Python True == 1 and 1 == 1.0; as hyperparameters only the latter two are the same.
    return (isinstance(value, bool), value)


def _order(value: HyperparameterValue) -> float:
    if isinstance(value, str):
        return 0.0
    return float(value) if math.isfinite(value) else math.copysign(math.inf, value)
