"""What identifies a search: its objective, its algorithm, its space, and Hyperband's plan.

Scores under one objective say nothing about another, and an oracle continues with the space and the plan that it began
with, even if the code has changed. So a search whose code has changed in one of these cannot be resumed under the same
run id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_tuner.src.engine import objective as objective_module
from keras_tuner.src.engine import oracle as oracle_module
from keras_tuner.src.tuners import hyperband

from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.errors import SearchChanged

Identity = dict[str, Any]

# What a Hyperband oracle takes from its stored state, and not from the code.
_PLAN = ("max_epochs", "factor", "hyperband_iterations")
_SHOWN = 6
_LONGEST = 120


def of(oracle: oracle_module.Oracle) -> Identity:
    """The identity of an oracle's search. The oracle must have made no trial yet, so that its space is the code's.

    Entries that trials add to the space while they run are not part of it.

    Returns:
      JSON-able: {"objective": texts, "oracle": its class, "space": {hyperparameter: what it may be}, "plan": {argument:
        value}}.
    """
    parts = getattr(oracle.objective, "objectives", [oracle.objective])
    space: dict[str, Any] = {}
    for entry in oracle.hyperparameters.get_config()["space"]:
        config = dict(entry["config"])
        name, conditions = config.pop("name"), config.pop("conditions", [])
        # By default the first value of a choice; no part of the range that an oracle draws from.
        config.pop("default", None)
        if "values" in config:
            # Values from a set come in a different order in each process.
            config["values"] = sorted(config["values"], key=encoding.dumps)
        space["".join([name, *map(_condition, conditions)])] = {"kind": entry["class_name"], **config}
    told = {
        "objective": sorted(map(_objective, parts)),
        "oracle": type(oracle).__name__,
        "space": space,
        "plan": {name: getattr(oracle, name) for name in _PLAN if isinstance(oracle, hyperband.HyperbandOracle)},
    }
    identity: Identity = json.loads(encoding.dumps(told))
    return identity


def check(stored: Identity, now: Identity, where: str) -> None:
    """Checks that the code still matches the stored search.

    Args:
      stored: the identity that the search began with.
      now: the identity according to the code.
      where: the search directory.

    Raises:
      SearchChanged: they differ.
    """
    different = list(_differences(stored, now))
    if not different:
        return
    left_out = len(different) - _SHOWN
    listed = "; ".join(different[:_SHOWN]) + (f"; and {left_out} more" if left_out > 0 else "")
    raise SearchChanged(
        f"the search in {where} was begun with something else than the code has now: {listed}. What was found before "
        "could not be compared with what would come. Start a new search under another run id, or put the code back "
        "and go on. Only max_trials and the limits may change"
    )


def _differences(stored: Identity, now: Identity) -> Iterator[str]:
    if stored["objective"] != now["objective"]:
        yield f"objective: {_listed(stored['objective'])} → {_listed(now['objective'])}"
    if stored["oracle"] != now["oracle"]:
        yield f"algorithm: {stored['oracle']} → {now['oracle']}"
    # A search of an earlier version has stored no plan.
    before, after = stored["plan"] if "plan" in stored else now["plan"], now["plan"]
    for name, value in before.items():
        if after.get(name) != value:
            yield f"{name}: {value} → {after.get(name)}"
    before, after = stored["space"], now["space"]
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            yield f"hyperparameter {name}: {_entry(before.get(name))} → {_entry(after.get(name))}"


def _objective(objective: objective_module.Objective) -> str:
    return f"{objective.name} ({objective.direction})"


def _condition(condition: Mapping[str, Any]) -> str:
    config = condition["config"]
    return f" if {config['name']} in {encoding.dumps(sorted(config['values'], key=encoding.dumps))}"


def _listed(objectives: Sequence[str]) -> str:
    return ", ".join(objectives)


def _entry(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "none"
    told = ", ".join(f"{key}={value}" for key, value in entry.items() if key != "kind" and value is not None)
    text = f"{entry['kind']}({told})"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
