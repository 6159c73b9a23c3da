"""How many trials a second a chief can hand out and take back, beside keras-tuner's own chief and an earlier build's.

    python -m benchmarks.oracle [--quick] [--baseline REVISION]

- Rounds (create, report, end) a second over gRPC with random search, by 8 clients without a pause. Three chiefs, ours,
  the earlier build's and keras-tuner's, take short turns (`race`), and are compared turn by turn, with as many trials
  behind them. Ours and the earlier build's have every transition synced to the disk, keras-tuner's has not.
  `speedup_vs_stock` is the median of the ratios over the second half of 2,000 trials, since keras-tuner's chief slows
  down with their number; then ours and the earlier build's go on in turns of their own, and `throughput_vs_baseline` is
  the median of their ratios. Less than 0.95 means that a change since made the chief slower. `cpu_vs_baseline`, the
  processor time of a round over that of the earlier build's, says the same on a machine too busy for times.
- With 1, 8, 64 and 500 simulated workers that each hold a trial for 5 s and send heartbeats as real ones do: p50 and
  p99 of the wait for a suggestion, and the share of time that workers were busy.
- While Bayesian optimization computes suggestions: p99 of a heartbeat, which a process of its own sends.

Clients and chiefs share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rich.console
import rich.table

from benchmarks import chiefs, earlier_build
from benchmarks.clients import heartbeats, oracle_clients
from benchmarks.clients.crowd import TRIAL_SECONDS, crowd
from benchmarks.clients.race import paired_ratio, race, ratios, together

# The last build before messages were checked at the chief's door.
BASELINE = "de00c83"

OURS = "ours"
EARLIER = "earlier"
STOCK = "stock"

# The oracle keeps none of them from beginning: a race is over before.
_ENDLESS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
      turns: of all three chiefs, of `rounds` rounds each.
      rounds: see `turns`.
      ends: how many turns count as the first, and as the last.
      pairs: turns of ours and the earlier build's after that, of `pair_rounds` rounds each.
      pair_rounds: see `pairs`.
      crowds: numbers of simulated workers.
      crowd_seconds: for how long each crowd works.
      bayesian_trials: of the search that computes while heartbeats are sent.
    """

    turns: int
    rounds: int
    ends: int
    pairs: int
    pair_rounds: int
    crowds: tuple[int, ...]
    crowd_seconds: float
    bayesian_trials: int


FULL = Plan(20, 100, 2, 40, 150, (1, 8, 64, 500), 25.0, 100)
QUICK = Plan(4, 50, 1, 10, 100, (1, 8), 12.0, 30)

Rates = Mapping[str, Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Raced:
    """What the chiefs did.

    Attributes:
      all_of_them: rounds a second of each chief, turn by turn.
      pairs: the same of ours and the earlier build's, in their own turns after that.
      memory: resident memory in the end, MiB.
      cpu_ms: processor time of a round in `pairs`, ms.
    """

    all_of_them: Rates
    pairs: Rates
    memory: Mapping[str, float]
    cpu_ms: Mapping[str, float]


def run_race(plan: Plan, earlier: Path | None) -> Raced:
    """Starts the chiefs and has them take turns; without the earlier build where there is none."""
    with contextlib.ExitStack() as started:
        waits = {
            OURS: started.enter_context(chiefs.starting(chiefs.OURS, "random", _ENDLESS)),
            STOCK: started.enter_context(chiefs.starting(chiefs.STOCK, "random", _ENDLESS)),
        }
        if earlier is not None:
            waits[EARLIER] = started.enter_context(chiefs.starting(chiefs.OURS, "random", _ENDLESS, earlier))
        return asyncio.run(take_turns(plan, {name: wait() for name, wait in waits.items()}))


async def take_turns(plan: Plan, servers: Mapping[str, chiefs.Server]) -> Raced:
    """First all of the chiefs, then those that are not keras-tuner's."""
    async with contextlib.AsyncExitStack() as open_channels:
        runners: dict[str, oracle_clients.Rounds] = {}
        for name, server in servers.items():
            connect = oracle_clients.connected_to_stock if name == STOCK else oracle_clients.connected_to_ours
            runners[name] = await open_channels.enter_async_context(connect(server))
        all_of_them = await race(runners, turns=plan.turns, rounds=plan.rounds)
        builds = {name: runners[name] for name in (OURS, EARLIER) if EARLIER in runners}
        before = {name: servers[name].cpu_seconds() for name in builds}
        pairs = await race(builds, turns=plan.pairs, rounds=plan.pair_rounds) if builds else {}
        taken = {name: servers[name].cpu_seconds() - before[name] for name in builds}
        rounds = plan.pairs * plan.pair_rounds
        return Raced(
            all_of_them,
            pairs,
            memory={name: server.memory_mib() for name, server in servers.items()},
            cpu_ms={name: seconds / rounds * 1000 for name, seconds in taken.items()},
        )


def race_figures(raced: Raced, plan: Plan) -> dict[str, float]:
    """What the race says, by name; `…_vs_baseline` only where the earlier build took part."""
    ours, stock = raced.all_of_them[OURS], raced.all_of_them[STOCK]
    last = slice(plan.turns // 2, None)
    figures = {
        "speedup_vs_stock": paired_ratio(ours[last], stock[last]),
        "per_second_first_200": together(ours[: plan.ends]),
        "per_second_last_200": together(ours[-plan.ends :]),
        "stock_per_second_first_200": together(stock[: plan.ends]),
        "stock_per_second_last_200": together(stock[-plan.ends :]),
    }
    if raced.pairs:
        figures["throughput_vs_baseline"] = paired_ratio(raced.pairs[OURS], raced.pairs[EARLIER])
        figures["cpu_ms_a_round"] = raced.cpu_ms[OURS]
        figures["cpu_vs_baseline"] = raced.cpu_ms[OURS] / raced.cpu_ms[EARLIER]
    return figures


def show_race(raced: Raced, plan: Plan, console: rich.console.Console) -> None:
    """Prints the chiefs' rates, and how far the ratios lie apart."""
    count = plan.ends * plan.rounds
    table = rich.table.Table("chief", f"first {count}", f"last {count}", "MiB", title="rounds a second")
    for name, rates in raced.all_of_them.items():
        first, last = together(rates[: plan.ends]), together(rates[-plan.ends :])
        table.add_row(name, f"{first:.0f}", f"{last:.0f}", f"{raced.memory[name]:.0f}")
    console.print(table)
    others = {f"ours / {STOCK}": (raced.all_of_them, STOCK)}
    if raced.pairs:
        others[f"ours / {EARLIER} build"] = (raced.pairs, EARLIER)
    for words, (rates_by_name, other) in others.items():
        low, middle, high = statistics.quantiles(ratios(rates_by_name[OURS], rates_by_name[other]), n=4)
        console.print(f"{words}: median {middle:.3f} of all turns, half of them from {low:.3f} to {high:.3f}")


def crowd_figures(plan: Plan, console: rich.console.Console) -> dict[str, float]:
    """Waits and busy shares of the crowds, one after another at one chief of ours."""
    title = f"waiting for a suggestion, trials of {TRIAL_SECONDS:g} s"
    table = rich.table.Table("workers", "p50 ms", "p99 ms", "busy", title=title)
    figures: dict[str, float] = {}
    with chiefs.serving(chiefs.OURS, "random", _ENDLESS) as server:
        for workers in plan.crowds:
            waits, busy = asyncio.run(crowd(server, workers, plan.crowd_seconds))
            p50, p99 = (float(each) for each in np.percentile(waits, [50, 99]) * 1000)
            table.add_row(str(workers), f"{p50:.1f}", f"{p99:.1f}", f"{busy:.3f}")
            figures |= {f"p50_ms_{workers}": p50, f"p99_ms_{workers}": p99, f"busy_share_{workers}": busy}
        figures["memory_mib"] = server.memory_mib()
    console.print(table)
    return figures


def heartbeat_figures(plan: Plan, console: rich.console.Console) -> dict[str, float]:
    """How long a heartbeat takes while a Bayesian oracle computes."""
    with chiefs.serving(chiefs.OURS, "bayesian", plan.bayesian_trials) as server:
        beats = heartbeats.beside(server.address, server.token, lambda: asyncio.run(_use_up(server)))
    p99 = float(np.percentile(beats, 99)) * 1000
    console.print(f"heartbeat beside a Bayesian oracle: p99 {p99:.1f} ms")
    return {"heartbeat_p99_ms_bayesian": p99}


async def _use_up(server: chiefs.Server) -> None:
    """4 clients keep the oracle computing until its search is over."""
    async with oracle_clients.connected_to_ours(server) as rounds:

        async def work(worker: str) -> None:
            while await rounds.round(worker):
                continue

        await asyncio.gather(*(work(f"worker-{index}") for index in range(4)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints tables and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the trials, and no crowd of 500")
    parser.add_argument(
        "--baseline",
        metavar="REVISION",
        default=BASELINE,
        help="the git revision to compare with (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    console = rich.console.Console()
    with contextlib.ExitStack() as stack:
        earlier: Path | None = None
        try:
            earlier = stack.enter_context(earlier_build.unpacked(options.baseline))
        except earlier_build.NoSuchBuild as error:
            console.print(str(error))
        raced = run_race(plan, earlier)
    show_race(raced, plan, console)
    figures = {**race_figures(raced, plan), **crowd_figures(plan, console), **heartbeat_figures(plan, console)}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
