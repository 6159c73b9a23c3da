"""The oracle benchmark: its figures, and a small race of real chiefs."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json

import pytest
import rich.console

from benchmarks import chiefs, oracle
from benchmarks.clients import crowd
from benchmarks.oracle import EARLIER, OURS, STOCK, Plan, Raced

PLAN = Plan(4, 50, 2, 3, 20, (), 0.0, 0)
RACED = Raced(
    all_of_them={OURS: [100.0, 100.0, 300.0, 150.0], EARLIER: [90.0] * 4, STOCK: [50.0, 50.0, 30.0, 30.0]},
    pairs={OURS: [97.0, 50.0, 98.0], EARLIER: [100.0, 100.0, 100.0]},
    memory={OURS: 300.0, EARLIER: 290.0, STOCK: 200.0},
    cpu_ms={OURS: 1.1, EARLIER: 1.0},
)


def test_the_figures_compare_turn_by_turn() -> None:
    assert oracle.race_figures(RACED, PLAN) == {
        "speedup_vs_stock": pytest.approx((10 + 5) / 2),
        "per_second_first_200": pytest.approx(100),
        "per_second_last_200": pytest.approx(200),
        "stock_per_second_first_200": pytest.approx(50),
        "stock_per_second_last_200": pytest.approx(30),
        "throughput_vs_baseline": pytest.approx(0.97),
        "cpu_ms_a_round": pytest.approx(1.1),
        "cpu_vs_baseline": pytest.approx(1.1),
    }


def test_what_is_measured_is_what_the_names_say() -> None:
    assert oracle.FULL.ends * oracle.FULL.rounds == 200
    assert oracle.FULL.turns * oracle.FULL.rounds == 2_000
    assert oracle.FULL.crowds == (1, 8, 64, 500)


def test_without_the_earlier_build_all_else_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two = {name: rates for name, rates in RACED.all_of_them.items() if name != EARLIER}
    monkeypatch.setattr(oracle, "QUICK", PLAN)
    monkeypatch.setattr(
        oracle, "run_race", lambda plan, earlier: Raced(two, {}, RACED.memory, {}) if not earlier else None
    )
    monkeypatch.setattr(oracle, "crowd_figures", lambda plan, console: {"memory_mib": 300.12345})
    monkeypatch.setattr(oracle, "heartbeat_figures", lambda plan, console: {"heartbeat_p99_ms_bayesian": 9.0})
    oracle.main(["--quick", "--baseline", "no-such-revision"])
    output = capsys.readouterr().out
    assert "the earlier build 'no-such-revision' is left out" in output
    figures = json.loads(output.splitlines()[-1])
    assert figures["speedup_vs_stock"] == 7.5 and figures["memory_mib"] == 300.123
    assert not [name for name in figures if name.endswith("_vs_baseline")]


@pytest.mark.timeout(180)
def test_real_chiefs_race_and_serve_a_crowd() -> None:
    plan = dataclasses.replace(PLAN, rounds=10)
    with (
        chiefs.starting(chiefs.OURS, "random", 1_000) as ours,
        chiefs.starting(chiefs.STOCK, "random", 1_000) as stock,
    ):
        servers = {OURS: ours(), STOCK: stock()}
        raced = asyncio.run(oracle.take_turns(plan, servers))
        waits, busy = asyncio.run(crowd.crowd(servers[OURS], 3, 0.5, trial_seconds=0.1))
    assert all(rate > 0 for name in (OURS, STOCK) for rate in raced.all_of_them[name]) and raced.pairs == {}
    assert len(waits) >= 3 and 0 < busy <= 1
    table = io.StringIO()
    oracle.show_race(raced, plan, rich.console.Console(file=table))
    assert "ours / stock: median" in table.getvalue()
