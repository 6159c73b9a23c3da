"""Trials that are at fault themselves: the search goes on, and each one says what it died of."""

from __future__ import annotations

import dataclasses

from custom_components.distributed_tuner.record import top_n
from tests.harness.chaos.arena import Arena, failed_clearly
from tests.harness.chaos.faults import Result
from tests.harness.chaos.running import OPTIONS, Plan

_DEADLINE = 240.0
# What the message of a trial with this flaw has to say.
WORDS = {
    "nan": "was nan",
    "inf": "was inf",
    "build": "no layer of",
    "callback": "the callback cannot read its file",
    "137": "exit code 137",
    "killed": "exit code 137",
}


def some(arena: Arena) -> Result:
    """Some trials have a flaw each; all others must come out as if nothing had been."""
    fault = "NaN, infinity, no model, raising callback, out of memory"
    options = dataclasses.replace(OPTIONS, max_fruitless_losses=3, max_consecutive_failures=100)
    plan = Plan(trials=len(WORDS) + (2 if arena.small else 10), epochs=2, seconds=0.1, options=options)
    flaws = dict(zip(plan.trial_ids(), WORDS, strict=False))
    failed = {trial: WORDS[flaw] for trial, flaw in flaws.items()}
    results = {name: trial for name, trial in arena.reference(plan).items() if name not in failed}
    expected = arena.expected(plan, failed=failed, results=results)
    running = arena.start("flaws", dataclasses.replace(plan, config={"flaws": flaws}))
    result = arena.end(fault, running, expected, deadline=_DEADLINE, tries=len(flaws))
    # Each of them ended with its own error, which was right.
    return dataclasses.replace(result, recovered=0, clear_errors=result.recovered)


def every(arena: Arena) -> Result:
    """No model builds at all: the search ends by itself and says so."""
    fault = "no model that builds"
    plan = Plan(trials=9, epochs=1, seconds=0.0)
    plan = dataclasses.replace(plan, config={"flaws": dict.fromkeys(plan.trial_ids(), "build")})
    running = arena.start(fault, plan)
    running.join(_DEADLINE)
    if running.found is not None:
        try:
            top_n.choose(running.found.record, 1, running.found.error)
        except top_n.TooFewTrials as error:
            running.error = error
    return failed_clearly(fault, running, ("3 trials failed in a row", "no layer of"), deadline=1.0, lines=100)
