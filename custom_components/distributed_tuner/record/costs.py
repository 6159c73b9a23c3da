"""What a search cost, from how long each worker held trials and the prices that the user gave for machines.

Only the time in which workers held a trial counts, not the time in which a machine starts, idles or runs the chief.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.record import fields, formatting, summary
from custom_components.distributed_tuner.record.record import SearchRecord

_HOUR_SECONDS = 3600.0


@dataclasses.dataclass(frozen=True)
class Price:
    """What one worker's machine costs for an hour, in any currency.

    Attributes:
      hour: the price of the machine as it is used.
      on_demand_hour: the on-demand price of the same machine, None if it is on demand already, or unknown.
    """

    hour: float
    on_demand_hour: float | None = None


@dataclasses.dataclass(frozen=True)
class GroupCost:
    """A group of workers: how many held a trial, for how long in total, and the price of an hour, if known."""

    group: str
    workers: int
    seconds: float
    price: Price | None

    @property
    def cost(self) -> float | None:
        """The cost in the currency of the price; None without a price."""
        return None if self.price is None else self.price.hour * self.seconds / _HOUR_SECONDS

    @property
    def saved(self) -> float | None:
        """How much more the same time would have cost on demand; None if that price is unknown."""
        if self.price is None or self.price.on_demand_hour is None:
            return None
        return (self.price.on_demand_hour - self.price.hour) * self.seconds / _HOUR_SECONDS


def by_group(record: SearchRecord, prices: Mapping[str, Price], now: float) -> tuple[GroupCost, ...]:
    """The costs of the groups in the order of their names; empty if there are no prices at all.

    Args:
      record: the search, ended or not.
      prices: the groups' prices by group name; a worker's id is GROUP-INDEX.
      now: the time up to which an ongoing stay counts, seconds since the epoch.

    Returns:
      One entry per group that has a price or held a trial.
    """
    if not prices:
        return ()
    until = summary.last_moment(record, now)
    seconds: dict[str, float] = {}
    for trial in record.trials:
        for stay in trial.stays:
            held = max(0.0, (until if stay.ended is None else stay.ended) - stay.started)
            seconds[stay.worker] = seconds.get(stay.worker, 0.0) + held
    workers: dict[str, list[str]] = {name: [] for name in prices}
    for worker in seconds:
        workers.setdefault(group_of(worker), []).append(worker)
    return tuple(
        GroupCost(name, len(members), sum(seconds[worker] for worker in members), prices.get(name))
        for name, members in sorted(workers.items())
    )


def group_of(worker: str) -> str:
    """The group that a worker belongs to according to its id."""
    return worker.rpartition("-")[0] or worker


def total(costs: Iterable[GroupCost]) -> float:
    """The total cost of all groups that have a price."""
    return sum(cost.cost or 0.0 for cost in costs)


def saved(costs: Sequence[GroupCost]) -> float | None:
    """The total saved compared to on-demand prices, None if no group has both prices."""
    known = [cost.saved for cost in costs if cost.saved is not None]
    return sum(known) if known else None


def money(amount: float) -> str:
    """An amount in whatever currency the prices are in."""
    return f"{amount:,.2f}"


def line(costs: Sequence[GroupCost]) -> str:
    """The costs in one line; empty without prices."""
    if not costs:
        return ""
    less = saved(costs)
    words = f"cost: {money(total(costs))}"
    if less is not None:
        words += f", {money(abs(less))} {'less' if less >= 0 else 'more'} than on demand"
    return f"{words} ({details(costs)})"


def details(costs: Sequence[GroupCost]) -> str:
    """Each group's workers, time with trials and cost."""
    return "; ".join(
        f"{each.group}: {formatting.plural(each.workers, 'worker')}, {formatting.duration(each.seconds)} with trials, "
        + ("no price" if each.cost is None else money(each.cost))
        for each in costs
    )


def to_json(prices: Mapping[str, Price]) -> dict[str, Any]:
    """Prices as JSON-able data."""
    return {group: [price.hour, price.on_demand_hour] for group, price in prices.items()}


def from_json(data: object) -> dict[str, Price]:
    """Undoes `to_json`.

    Raises:
      ValueError: the data holds no prices; the message names the place.
    """
    prices = {}
    for group, entry in fields.mapping(data, "prices").items():
        hour, on_demand = fields.array(entry, f"prices.{group}", 2)
        prices[group] = Price(
            fields.number(hour, f"prices.{group}[0]"),
            fields.optional(fields.number)(on_demand, f"prices.{group}[1]"),
        )
    return prices
