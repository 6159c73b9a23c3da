"""The best trials come in portions, however much they are together."""

from __future__ import annotations

from pathlib import Path

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.rpc import protocol
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here


@pytest.mark.parametrize(("portion", "calls"), [(4400, 3), (1, 6), (1 << 24, 1)])
def test_they_come_in_portions_and_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portion: int, calls: int
) -> None:
    monkeypatch.setattr(protocol, "PORTION_BYTES", portion)
    directory = SearchDir(tmp_path)
    directory.create()
    space = kt.HyperParameters()
    space.Float("x", 0.0, 1.0)
    space.Choice("prompt", ["a" * 300, "b" * 300])
    oracle = kt.oracles.RandomSearchOracle(kt.Objective("loss", "min"), max_trials=7, hyperparameters=space, seed=1)
    with chief_here.serving(directory, oracle, "token", SearchOptions()) as here:
        for loss in (3.0, 5.0, 1.0, 2.0, 6.0, 4.0):
            trial_id = chief_here.ask(here, "a")
            assert trial_id is not None
            chief_here.finish(here, "a", trial_id, loss=loss)
        assert chief_here.ask(here, "a")
        best = here.client.best(9)
        assert [trial["score"] for trial in best] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        assert sum(call.method == "Best" for call in here.calls) == calls
        assert [trial["score"] for trial in here.client.best(2)] == [1.0, 2.0]
