"""What chief and workers are started with survives its file, or is said to be unreadable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.costs import Price
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.local import LocalStorage


def test_a_spec_survives_its_file(tmp_path: Path) -> None:
    properties = {"tuner_fn": "models.tuner_fn", "custom_config": '{"a": "ä"}', "train_args": None}
    prices = {"spot": Price(0.25, 1.0), "on-demand": Price(1)}
    spec = SearchSpec("run 1", '{"examples": []}', properties, SearchOptions(max_trial_seconds=5), prices)
    spec.write(LocalStorage(tmp_path))
    assert SearchSpec.read(LocalStorage(tmp_path)) == spec


def test_a_spec_of_before_there_were_prices_is_read(tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    SearchSpec("run 1", "", {}, SearchOptions()).write(LocalStorage(tmp_path))
    data = json.loads(path.read_text())
    del data["prices"]
    path.write_text(json.dumps(data))
    assert SearchSpec.read(LocalStorage(tmp_path)).prices == {}


def test_without_a_file_no_search_was_set_up(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"search\.json: no search was set up in this directory"):
        SearchSpec.read(LocalStorage(tmp_path))


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"name": "a", "inputs": "", "exec_properties": {}}'])
def test_a_damaged_file_is_told_by_its_path(tmp_path: Path, content: str) -> None:
    (tmp_path / "search.json").write_text(content)
    with pytest.raises(SearchError, match=r"search\.json is damaged"):
        SearchSpec.read(LocalStorage(tmp_path))
