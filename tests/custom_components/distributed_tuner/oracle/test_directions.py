"""Every name that keras-tuner makes a direction of gets the right one, or is refused with what to write."""

from __future__ import annotations

import keras_tuner as kt
import pytest
from keras_tuner.src.backend import keras
from keras_tuner.src.engine import metrics_tracking

from custom_components.distributed_tuner.oracle import directions


def guessed(name: str) -> str | None:
    """What keras-tuner makes of a name; None where it makes nothing of it."""
    try:
        direction: str | None = metrics_tracking.infer_metric_direction(name)
    except Exception:
        return None
    return direction


NAMES = {"loss", "crossentropy", "ce", "acc"} | set(dir(keras.metrics)) | set(dir(keras.losses))
GUESSED = {name: direction for name in sorted(NAMES) if (direction := guessed(name)) is not None}
# Nobody can tell: names of two things, of what adds up anything, and of functions that are no metrics.
UNKNOWN = directions.EITHER | {"Mean", "Sum", "MeanTensor", "get", "serialize", "deserialize"}
TURNED = {
    *("BinaryIoU", "F1Score", "FBetaScore", "R2Score", "top_k_categorical_accuracy"),
    "sparse_top_k_categorical_accuracy",
}


def direction_of(objective: str | list[str]) -> tuple[str, list[str]]:
    """The direction that an oracle made of this objective has, and what is said about it."""
    with directions.settled() as told:
        oracle = kt.oracles.RandomSearchOracle(objective)
    return str(oracle.objective.direction), told


def test_the_tables_hold_what_keras_tuner_guesses_and_nothing_twice() -> None:
    tables = (directions.MORE_IS_BETTER, directions.LESS_IS_BETTER, UNKNOWN)
    assert set(GUESSED) <= frozenset().union(*tables)
    assert sum(map(len, tables)) == len(frozenset().union(*tables))


@pytest.mark.parametrize("name", GUESSED)
def test_every_name_has_the_right_direction_or_is_refused(name: str) -> None:
    for objective in (name, f"val_{name}", f"val_weighted_{name}"):
        if name in UNKNOWN:
            with pytest.raises(ValueError, match="nobody can tell") as refused:
                direction_of(objective)
            assert f"keras_tuner.Objective({objective!r}, 'max')" in str(refused.value)
            continue
        direction, told = direction_of(objective)
        assert direction == ("max" if name in directions.MORE_IS_BETTER else "min")
        assert (name in TURNED) == (direction != GUESSED[name]) == bool(told)
        assert all(f"keras_tuner.Objective({objective!r}, 'max')" in words for words in told)


def test_a_metric_that_cannot_be_made_from_its_name_is_told_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"keras_tuner.Objective\('val_MeanIoU', 'max'\)"):
        direction_of("val_MeanIoU")
    with pytest.raises(ValueError, match="Could not infer"):
        direction_of("val_f1_score")


def test_a_direction_that_the_user_chose_stays() -> None:
    with directions.settled() as told:
        for name in ("val_top_k_categorical_accuracy", "cosine_similarity", "R2Score", "anything"):
            for direction in ("min", "max"):
                oracle = kt.oracles.RandomSearchOracle(kt.Objective(name, direction))
                assert oracle.objective == kt.Objective(name, direction)
        assert kt.oracles.RandomSearchOracle().objective.name == "default_objective"
    assert told == []


def test_each_name_of_several_objectives_is_settled() -> None:
    with directions.settled() as told:
        oracle = kt.oracles.RandomSearchOracle(["val_loss", "val_R2Score", kt.Objective("val_F1Score", "min")])
    assert oracle.objective.name_to_direction == {"val_loss": "min", "val_R2Score": "max", "val_F1Score": "min"}
    assert len(told) == 1 and "'val_R2Score'" in told[0]


def test_keras_tuner_is_left_as_it_was() -> None:
    with pytest.raises(ValueError), directions.settled():
        kt.oracles.RandomSearchOracle("val_Sum")
    assert kt.oracles.RandomSearchOracle("val_R2Score").objective.direction == "min"
