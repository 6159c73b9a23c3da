"""What a search cost: who held its trials for how long, times what the user says a machine costs."""

from __future__ import annotations

import pytest
from hypothesis import given

from custom_components.distributed_tuner.record import costs
from custom_components.distributed_tuner.record.costs import GroupCost, Price
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord
from tests.custom_components.distributed_tuner.records import any_search
from tests.custom_components.distributed_tuner.report.helpers import STARTED, completed, search, stay

HOUR = 3600.0
SPOT = Price(0.25, 1.0)
DEMAND = Price(2.0)


def ran() -> SearchRecord:
    """Two spot workers, three hours in all, one of them with a loss; one on-demand worker, half an hour."""
    first = completed("a", 1.0, {}, stay(0, HOUR, Outcome.LOST, "spot-0"), stay(HOUR, 2 * HOUR, worker="spot-1"))
    second = completed("b", 2.0, {}, stay(0, HOUR / 2, worker="on-demand-0"))
    third = completed("c", 3.0, {}, stay(2 * HOUR, None, Outcome.RUNNING, "spot-0"))
    return search(first, second, third, ended=None)


NOW = STARTED + 3 * HOUR


def test_each_group_has_its_time_also_that_which_was_lost_or_lasts() -> None:
    groups = costs.by_group(ran(), {"spot": SPOT, "on-demand": DEMAND}, NOW)
    assert groups == (GroupCost("on-demand", 1, HOUR / 2, DEMAND), GroupCost("spot", 2, 3 * HOUR, SPOT))
    assert [group.cost for group in groups] == [1.0, 0.75]
    assert [group.saved for group in groups] == [None, 2.25]
    assert (costs.total(groups), costs.saved(groups)) == (1.75, 2.25)


def test_one_line_tells_all_of_it() -> None:
    groups = costs.by_group(ran(), {"spot": SPOT, "on-demand": DEMAND}, NOW)
    assert costs.line(groups) == (
        "cost: 1.75, 2.25 less than on demand (on-demand: 1 worker, 30 min 00 s with trials, 1.00; "
        "spot: 2 workers, 3 h 00 min with trials, 0.75)"
    )


def test_a_group_without_a_price_is_named_and_one_that_never_ran_costs_nothing() -> None:
    groups = costs.by_group(ran(), {"spot": SPOT, "reserve": DEMAND}, NOW)
    assert [(group.group, group.cost) for group in groups] == [("on-demand", None), ("reserve", 0.0), ("spot", 0.75)]
    assert "on-demand: 1 worker, 30 min 00 s with trials, no price" in costs.line(groups)


def test_spot_that_is_dearer_is_said_to_be() -> None:
    assert "2.25, 1.50 more than on demand" in costs.line(costs.by_group(ran(), {"spot": Price(0.75, 0.25)}, NOW))


def test_without_prices_nothing_is_told() -> None:
    assert costs.by_group(ran(), {}, NOW) == () and costs.line(()) == ""


def test_a_search_that_ended_costs_no_more_later() -> None:
    over = search(*ran().trials, ended=3 * HOUR)
    assert costs.total(costs.by_group(over, {"spot": SPOT}, NOW + HOUR)) == 0.75


@pytest.mark.parametrize(("worker", "group"), [("spot-3", "spot"), ("on-demand-10", "on-demand"), ("odd", "odd")])
def test_a_workers_name_gives_its_group(worker: str, group: str) -> None:
    assert costs.group_of(worker) == group


@given(record=any_search())
def test_any_search_has_a_cost(record: SearchRecord) -> None:
    groups = costs.by_group(record, {"spot": SPOT}, 1e10)
    assert costs.total(groups) >= 0 and costs.line(groups).startswith("cost: ")


def test_prices_survive_json_and_what_is_none_is_told() -> None:
    prices = {"spot": SPOT, "on-demand": DEMAND}
    assert costs.from_json(costs.to_json(prices)) == prices
    for data, place in (
        ([], "prices is"),
        ({"spot": 1}, r"prices\.spot is"),
        ({"spot": ["x", None]}, r"prices\.spot\[0\]"),
    ):
        with pytest.raises(ValueError, match=place):
            costs.from_json(data)
