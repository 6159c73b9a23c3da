"""What becomes of the user's `tuner_fn` in whole searches."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.record import top_n
from custom_components.distributed_tuner.record.record import Direction
from custom_components.distributed_tuner.search import run as search

NAME = "val_sparse_top_k_categorical_accuracy"


@pytest.fixture
def run(make_search: Callable[..., Any]) -> Callable[..., search.Found]:
    """Runs the tuner function `astray_tuners.unplaced`."""

    def run(**config: Any) -> search.Found:
        made = make_search("waiting", config)
        properties = {**made.spec.exec_properties, "tuner_fn": "astray_tuners.unplaced"}
        made.spec = dataclasses.replace(made.spec, exec_properties=properties)
        found: search.Found = made.run()
        return found

    return run


def test_an_objective_by_name_and_a_tuner_without_a_directory_are_put_right_and_told(
    run: Callable[..., search.Found], tmp_path: Path
) -> None:
    found = run(objective=NAME)
    assert found.record.direction is Direction.MAX
    (best,) = top_n.choose(found.record, 1)
    assert best.hyperparameters == {"x": 4}
    direction, place = found.record.notices
    assert f"keras_tuner.Objective('{NAME}', 'max')" in direction
    assert f"{tmp_path}/search/untitled_project" in place and "fn_args.working_dir" in place
    # The processes of the search run where the test does.
    assert not Path("untitled_project").exists()
    project = tmp_path / "search" / "untitled_project"
    state = json.loads((project / f"trial_{best.trial_id}" / "trial.json").read_text())
    assert state["metrics"]["metrics"][NAME]["direction"] == "max"
    again = run(objective=NAME).record
    assert (again.trials, again.direction, again.notices) == (found.record.trials, Direction.MAX, found.record.notices)


def test_a_name_that_tells_no_direction_ends_the_search_with_what_to_write(run: Callable[..., search.Found]) -> None:
    with pytest.raises(SearchError) as refused:
        run(objective="val_cosine_similarity")
    assert "keras_tuner.Objective('val_cosine_similarity', 'max')" in str(refused.value)


def test_what_the_user_says_stays(run: Callable[..., search.Found], tmp_path: Path) -> None:
    found = run(objective="val_loss", placed=True)
    assert found.record.notices == () and found.record.direction is Direction.MIN
    assert (tmp_path / "search" / "as_given" / "untitled_project").is_dir()
