"""What a search cost, from who held its trials for how long, and from what the user says a machine costs.

Counted is the time that workers had a trial. A machine that starts, waits for work or runs the chief is not in it.
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
      hour: as it is used.
      on_demand_hour: of the same machine on demand, None where it is that already.
    """

    hour: float
    on_demand_hour: float | None = None


@dataclasses.dataclass(frozen=True)
class GroupCost:
    """A group of workers: how many had a trial, for how long together, and what an hour costs, if that is known."""

    group: str
    workers: int
    seconds: float
    price: Price | None

    @property
    def cost(self) -> float | None:
        """In the currency of the price; None without one."""
        return None if self.price is None else self.price.hour * self.seconds / _HOUR_SECONDS

    @property
    def saved(self) -> float | None:
        """How much more the same time had cost on demand; None where no such price is known."""
        if self.price is None or self.price.on_demand_hour is None:
            return None
        return (self.price.on_demand_hour - self.price.hour) * self.seconds / _HOUR_SECONDS


def by_group(record: SearchRecord, prices: Mapping[str, Price], now: float) -> tuple[GroupCost, ...]:
    """The groups in the order of their names; empty where no price is known at all.

    Args:
      record: the search, ended or not.
      prices: of the groups, by name; a worker is called GROUP-INDEX.
      now: up to when a stay that lasts counts, seconds since the epoch.
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
    """The group that a worker belongs to by its name."""
    return worker.rpartition("-")[0] or worker


def total(costs: Iterable[GroupCost]) -> float:
    """What all groups with a price cost together."""
    return sum(cost.cost or 0.0 for cost in costs)


def saved(costs: Sequence[GroupCost]) -> float | None:
    """What was saved, None where no group has both prices."""
    known = [cost.saved for cost in costs if cost.saved is not None]
    return sum(known) if known else None


def money(amount: float) -> str:
    """An amount in whatever currency the prices are in."""
    return f"{amount:,.2f}"


def line(costs: Sequence[GroupCost]) -> str:
    """All of it in one line; empty without prices."""
    if not costs:
        return ""
    less = saved(costs)
    words = f"cost: {money(total(costs))}"
    if less is not None:
        words += f", {money(abs(less))} {'less' if less >= 0 else 'more'} than on demand"
    return f"{words} ({details(costs)})"


def details(costs: Sequence[GroupCost]) -> str:
    """What each group had and cost."""
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
