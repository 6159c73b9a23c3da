"""A search goes on only with the objective, the algorithm and the space that it began with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.chief.chief import Chief
from custom_components.distributed_tuner.errors import SearchChanged
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.oracle import identity
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.storage.search_dir import SearchDir

LOSS = kt.Objective("val_loss", "min")


def space(**changed: Any) -> kt.HyperParameters:
    entries = kt.HyperParameters()
    entries.Int("units", *changed.get("units", (4, 64)))
    entries.Choice("activation", changed.get("activation", ["relu", "tanh"]))
    with entries.conditional_scope("activation", ["relu"]):
        entries.Float("slope", 0.1, 1.0, sampling=changed.get("sampling", "linear"))
    if "more" in changed:
        entries.Boolean("more")
    return entries


def oracle(kind: Any = kt.oracles.RandomSearchOracle, objective: Any = LOSS, trials: int = 4, **changed: Any) -> Any:
    return kind(objective=objective, max_trials=trials, hyperparameters=space(**changed))


def stored(made: Any) -> identity.Identity:
    """As the journal gives it back."""
    found: identity.Identity = json.loads(json.dumps(identity.of(made)))
    return found


@pytest.mark.parametrize(
    "now",
    [
        lambda: oracle(),
        lambda: oracle(trials=9),
        lambda: oracle(activation=["tanh", "relu"]),
    ],
    ids=["nothing", "more trials", "a choice made from a set"],
)
def test_what_is_no_change_goes_on(now: Callable[[], Any]) -> None:
    identity.check(stored(oracle()), identity.of(now()), "here")


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (lambda: oracle(objective=kt.Objective("val_mae", "max")), ["objective: val_loss (min) → val_mae (max)"]),
        (lambda: oracle(objective=kt.Objective("val_loss", "max")), ["val_loss (min) → val_loss (max)"]),
        (lambda: oracle(objective=[LOSS, kt.Objective("mae", "min")]), ["val_loss (min) → mae (min), val_loss (min)"]),
        (lambda: oracle(kt.oracles.GridSearchOracle), ["algorithm: RandomSearchOracle → GridSearchOracle"]),
        (lambda: oracle(units=(100, 104)), ["hyperparameter units: Int(", "max_value=64", "→", "max_value=104"]),
        (lambda: oracle(activation=["relu"]), ["hyperparameter activation: Choice(", "'tanh'"]),
        (lambda: oracle(sampling="reverse_log"), ['slope if activation in ["relu"]', "linear", "reverse_log"]),
        (lambda: oracle(more=True), ["hyperparameter more: none → Boolean()"]),
    ],
)
def test_what_differs_is_told_with_what_to_do(now: Callable[[], Any], words: list[str]) -> None:
    with pytest.raises(SearchChanged) as refused:
        identity.check(stored(oracle()), identity.of(now()), "here")
    for word in ["the search in here", *words, "another run id", "put the code back"]:
        assert word in str(refused.value)


def hyperband(**plan: Any) -> Any:
    given = {"max_epochs": 9, "factor": 3, "hyperband_iterations": 1, **plan}
    return kt.oracles.HyperbandOracle(objective=LOSS, hyperparameters=space(), **given)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"max_epochs": 27}, "max_epochs: 9 → 27"),
        ({"factor": 2}, "factor: 3 → 2"),
        ({"hyperband_iterations": 2}, "hyperband_iterations: 1 → 2"),
    ],
)
def test_hyperband_keeps_the_plan_that_it_began_with(plan: dict[str, Any], words: str) -> None:
    before = stored(hyperband())
    identity.check(before, identity.of(hyperband()), "here")
    with pytest.raises(SearchChanged, match=words):
        identity.check(before, identity.of(hyperband(**plan)), "here")
    # As an earlier version stored it.
    del before["plan"]
    identity.check(before, identity.of(hyperband(**plan)), "here")


def test_a_long_list_is_cut() -> None:
    many = kt.HyperParameters()
    for index in range(40):
        many.Choice(f"p{index}", [f"value {number}" for number in range(100)])
    with pytest.raises(SearchChanged) as refused:
        identity.check(
            stored(oracle()),
            identity.of(kt.oracles.RandomSearchOracle(objective=LOSS, hyperparameters=many)),
            "here",
        )
    assert "and 37 more" in str(refused.value)
    assert len(str(refused.value)) < 2000


def chief(directory: SearchDir, made: Any) -> Chief:
    return Chief(
        name="here",
        suggester=OracleSuggester(made),
        options=SearchOptions(),
        directory=directory,
        project_dir="project",
        go_on=True,
    )


def test_it_is_stored_once_and_not_what_trials_add(tmp_path: Path) -> None:
    directory = SearchDir(tmp_path)
    directory.create()

    async def serve(made: Any) -> None:
        served = chief(directory, made)
        await served.begin()
        added = kt.HyperParameters()
        added.Boolean("met by a trial")
        await served.service.update_space(messages.UpdateSpace(added.get_config()))
        await served.close()

    asyncio.run(serve(oracle()))
    asyncio.run(serve(oracle(trials=9)))
    assert directory.journal.read_text().count('"identity":') == 1
    with pytest.raises(SearchChanged, match="units"):
        asyncio.run(asyncio.wait_for(serve(oracle(units=(5, 64))), 60.0))


def test_a_search_is_told_from_the_next_one_in_its_directory(tmp_path: Path) -> None:
    directory = SearchDir(tmp_path)
    directory.create()

    told: list[str | None] = []

    async def serve() -> None:
        served = chief(directory, oracle())
        await served.begin()
        told.append((await served.service.suggest(messages.Suggest("worker-0"))).search)
        await served.close()

    asyncio.run(serve())
    asyncio.run(serve())
    directory.journal.unlink()
    directory.record.unlink()
    asyncio.run(serve())
    first, again, next_one = told
    assert first == again != next_one and first and next_one


def test_an_older_journal_goes_on_and_is_known_from_then_on(tmp_path: Path) -> None:
    directory = SearchDir(tmp_path)
    directory.create()

    async def serve(made: Any, *, begin: bool) -> None:
        served = chief(directory, made)
        if begin:
            await served.begin()
        else:
            # What a chief of an earlier version stored.
            await served._flow.commit()
        await served.close()

    asyncio.run(serve(oracle(), begin=False))
    assert '"identity":' not in directory.journal.read_text()
    asyncio.run(serve(oracle(), begin=True))
    with pytest.raises(SearchChanged, match="algorithm"):
        asyncio.run(serve(oracle(kt.oracles.GridSearchOracle), begin=True))
