"""What is told of a campaign, and when it counts as passed."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import pytest
import rich.console

from tests.cluster.chaos import report
from tests.cluster.chaos.campaign import Outcome
from tests.cluster.chaos.recovery import Disruption, Recovery
from tests.harness.chaos.audit import Audit

GOOD = Outcome(
    seconds=60.0,
    disruptions=[
        (Disruption("evict-worker", 1.0), Recovery(4.0, 2.0, [])),
        (Disruption("evict-worker", 2.0), Recovery(6.0, None, ["no pod of spot-0 runs after a"])),
        (Disruption("restart-api", 3.0, over=5.0), Recovery(2.0, None, [])),
    ],
    epochs_lost={"evict-worker": [1, 1], "": [1]},
    trials_lost={},
    audit=Audit(trials_lost=0, trials_run_twice=0, epochs_lost=[1, 1, 1], problems=[]),
    hangs=0,
    left=[],
    problems=[],
)


def test_the_last_line_has_all_that_was_promised() -> None:
    told = json.loads(report.tally(GOOD, 7))
    assert told["seed"] == 7 and told["disruptions"] == told["recovered"] == 3
    assert (told["trials_lost"], told["trials_run_twice"], told["hangs"], told["objects_left"]) == (0, 0, 0, 0)
    assert (told["epochs_lost"], told["epochs_lost_max"]) == (3, 1)


def test_the_table_has_a_row_for_each_kind() -> None:
    text = io.StringIO()
    rich.console.Console(file=text, width=160).print(report.table(GOOD))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.getvalue().splitlines() if "│" in line]
    assert rows == [
        ["evict-worker", "2", "2", "5.0 / 6.0", "2.0 / 2.0", "0", "2 (1)"],
        ["restart-api", "1", "1", "2.0 / 2.0", "-", "0", "0 (0)"],
        ["none of these", "", "", "", "", "0", "1 (1)"],
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"hangs": 1},
        {"left": ["pods/a"]},
        {"problems": ["trial 3 ended more than once"]},
        {"epochs_lost": {"kill-node": [2]}},
        {"audit": None},
        {"audit": dataclasses.replace(GOOD.audit, trials_lost=1) if GOOD.audit else None},
    ],
)
def test_whatever_was_broken_is_no_success(change: dict[str, Any]) -> None:
    assert report.passed(GOOD)
    assert not report.passed(dataclasses.replace(GOOD, **change))


def test_what_did_not_come_back_is_recovered_only_if_the_search_came_to_its_end() -> None:
    missing = GOOD.disruptions[1]
    assert report.recovered(*missing, GOOD)
    assert not report.recovered(*missing, dataclasses.replace(GOOD, audit=None))
