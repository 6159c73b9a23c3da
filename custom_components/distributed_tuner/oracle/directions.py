"""The direction of an objective that the user gave by its name alone.

keras-tuner 1.4.7 (`metrics_tracking.infer_metric_direction`) takes such a name, without `val_` and `weighted_`, for a
Keras metric or loss. It maximises those on a list of its own and minimises all others, including some of which more is
better. The tables here give the direction of every name that it recognizes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from keras_tuner.src.engine import objective as objective_module

# https://keras.io/2.15/api/metrics and …/losses: accuracies, areas, overlaps, scores and counts of correct predictions
# on one side; losses, errors, divergences and counts of wrong predictions on the other.
MORE_IS_BETTER = frozenset(
    {"acc", "ACC", "accuracy", "Accuracy", "AUC", "BinaryAccuracy", "BinaryIoU", "CategoricalAccuracy"}
    | {"F1Score", "FBetaScore", "Precision", "R2Score", "Recall", "SparseCategoricalAccuracy"}
    | {"SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives"}
    | {"binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"}
    | {"sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy"}
)
LESS_IS_BETTER = frozenset(
    {"BCE", "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy"}
    | {"CategoricalHinge", "FalseNegatives", "FalsePositives", "Hinge", "Huber", "KLD", "KLDivergence", "LogCosh"}
    | {"LogCoshError", "Loss", "MAE", "MAPE", "MSE", "MSLE", "MeanAbsoluteError", "MeanAbsolutePercentageError"}
    | {"MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson", "RootMeanSquaredError"}
    | {"SparseCategoricalCrossentropy", "SquaredHinge", "bce", "binary_crossentropy", "binary_focal_crossentropy"}
    | {"categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge", "ce", "crossentropy"}
    | {"hinge", "huber", "huber_loss", "kl_divergence", "kld", "kullback_leibler_divergence", "log_cosh", "logcosh"}
    | {"loss", "mae", "mape", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error"}
    | {"mean_squared_logarithmic_error", "mse", "msle", "poisson", "sparse_categorical_crossentropy", "squared_hinge"}
)
# Keras has both a metric and a loss of each of these names.
EITHER = frozenset({"CosineSimilarity", "cosine_proximity", "cosine_similarity"})


@contextlib.contextmanager
def settled() -> Iterator[list[str]]:
    """Within it an objective that is made from a name alone gets the right direction, or is refused with ValueError.

    Yields:
      A list of messages about the directions that were corrected.
    """
    original = objective_module.create_objective
    told: list[str] = []

    def create(objective: Any) -> objective_module.Objective:
        if not isinstance(objective, str):
            # A list comes back here, name by name.
            return original(objective)
        try:
            guessed = original(objective)
        except ValueError:
            raise
        except Exception as error:
            # keras-tuner instantiates the metric of that name, which may need arguments.
            raise ValueError(f"{_asked(objective)}; keras-tuner cannot tell it from the name") from error
        name = objective.removeprefix("val_").removeprefix("weighted_")
        direction = _direction(name)
        if direction is None:
            why = " (Keras has both a metric and a loss of that name)" if name in EITHER else ""
            raise ValueError(
                f"{_asked(objective)}; keras-tuner would take the name for one of which {_words(guessed.direction)} is "
                f"better, and nobody can tell whether that is so{why}"
            )
        if direction != guessed.direction:
            told.append(
                f"of the objective {objective!r} {_words(direction)} is better, though keras-tuner would take the name "
                f"for one of which {_words(guessed.direction)} is; "
                f"objective=keras_tuner.Objective({objective!r}, {direction!r}) says it without a guess"
            )
        return objective_module.Objective(objective, direction)

    objective_module.create_objective = create
    try:
        yield told
    finally:
        objective_module.create_objective = original


def _direction(name: str) -> str | None:
    if name in MORE_IS_BETTER:
        return "max"
    return "min" if name in LESS_IS_BETTER else None


def _words(direction: str) -> str:
    return "more" if direction == "max" else "less"


def _asked(objective: str) -> str:
    return (
        f"say which way the objective {objective!r} is better: objective=keras_tuner.Objective({objective!r}, 'max'), "
        f"or keras_tuner.Objective({objective!r}, 'min')"
    )
