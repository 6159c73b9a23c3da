"""What keras-tuner stored is read twice, and is as it was."""

from __future__ import annotations

import asyncio
import copy
import json
import types
from typing import Any

import keras_tuner as kt
from keras_tuner.src.engine import trial as trial_module

from custom_components.distributed_tuner.chief.stock_service import StockService
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester, Report
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.space import copies
from custom_components.distributed_tuner.study import limits
from custom_components.distributed_tuner.study.answers import Holder
from models.bikes import model as bikes


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Boolean("deep", default=True)
    with hp.conditional_scope("deep", [True]):
        hp.Choice("units", [3, 5])
    return hp


def test_conditions_are_read_twice() -> None:
    config = space().get_config()
    for _ in range(2):
        assert copies.hyperparameters(config).get_config() == config == space().get_config()
        assert bikes.hyperparameters_from(config).get_config() == config
    state = trial_module.Trial(space(), trial_id="0").get_state()
    for _ in range(2):
        assert copies.trial(state).get_state() == state
    json.dumps([config, state])


def test_what_a_worker_met_can_still_be_stored_after_the_oracle_has_it() -> None:
    suggester = OracleSuggester(kt.oracles.RandomSearchOracle(kt.Objective("loss", "min"), max_trials=2, seed=1))
    config, late = space().get_config(), space().get_config()
    suggester.update_space(late)
    suggester.suggest("worker-0")
    suggester.finish("0", succeeded=True, reports=[Report(0, {"loss": 1.0})], hyperparameters=config)
    assert config == late == space().get_config()


def test_a_stock_worker_asks_twice_and_the_chiefs_own_data_is_as_it_was() -> None:
    kept: dict[str, Any] = {
        "space": space().get_config(),
        "trial": trial_module.Trial(space(), trial_id="0", status="RUNNING").get_state(),
    }
    before = copy.deepcopy(kept)

    async def asked(request: Any) -> messages.Entries:
        return messages.Entries(kept["space"])

    methods: Any = types.SimpleNamespace(
        space=asked,
        holder=lambda trial_id: Holder("plain", limits.stock_process("here"), 0),
        trial_state=lambda trial_id: kept["trial"],
        best_trials=lambda count: [kept["trial"]],
    )
    service = StockService(types.SimpleNamespace(service=methods, objective=None))  # type: ignore[arg-type]
    about: Any = types.SimpleNamespace(trial_id="0", num_trials=1)
    nobody: Any = types.SimpleNamespace(peer=lambda: "here")

    async def ask_twice() -> None:
        for _ in range(2):
            for method in (service.GetSpace, service.GetTrial, service.GetBestTrials):
                assert (await method(about, nobody)).ByteSize() > 0

    asyncio.run(ask_twice())
    assert kept == before
