"""Quality of the bikes model on real trips: its error over that of gradient-boosted trees on the same rows.

For each seed the file's rows are split at random, 80/10/10. The project's own code does all the work on the network's
side: `preprocessing_fn` is analysed on the train rows alone, the champion is trained on them and ended early by the
eval rows, and the test rows only measure. Loss, penalties, schedule and the champion, which is the defaults of the
search space, were chosen by splitting each seed's train and eval rows once more.

The yardstick is scikit-learn's HistGradientBoostingRegressor with the absolute error as its loss and its defaults
otherwise, fitted to the same train rows, with what the network may read as numbers. Of five ways to write these, the
one on which it did best is used: time of day in place of `ts`, and the four coordinates that `loc_cross` spells out.

    BIKES_DATA=path/to/london_bikes_weather.csv python -m benchmarks.quality
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.bikes import features

SEEDS: Final = (0, 1, 2, 3, 4)
SHARES: Final = (0.8, 0.1, 0.1)
DEFAULT_DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "london_bikes_weather.csv"

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Score:
    """Mean absolute errors on one split's test rows, in seconds: the network's, the trees', the train median's."""

    seed: int
    mae: float
    mae_hgb: float
    mae_median: float

    @property
    def ratio(self) -> float:
        """The network's error over the trees'; below 1 the network is better."""
        return self.mae / self.mae_hgb


def data_path(environment: Mapping[str, str]) -> Path:
    """The file of real trips: BIKES_DATA, or its place beside the project.

    Raises:
      FileNotFoundError: it is not there; the message says how to name another.
    """
    path = Path(environment.get("BIKES_DATA") or DEFAULT_DATA)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; BIKES_DATA names the CSV file of real trips")
    return path


def split(rows: int, seed: int) -> tuple[Rows, Rows, Rows]:
    """Row numbers of train, eval and test: a random partition that depends on nothing but the arguments."""
    order = np.random.default_rng(seed).permutation(rows)
    train, rest = round(rows * SHARES[0]), round(rows * (SHARES[0] + SHARES[1]))
    return order[:train], order[train:rest], order[rest:]


def numeric(table: pd.DataFrame) -> Floats:
    """What the network may read, as a matrix of numbers for the trees: shape [rows, columns]."""
    names = [name for name in features.MODEL_INPUTS if name not in (features.TIMESTAMP, features.LOC_CROSS)]
    time_of_day = table[features.TIMESTAMP] % 86_400
    coordinates = table[features.LOC_CROSS].str.extractall(r"(-?\d[\d.]*)")[0].astype(float).unstack()
    return np.column_stack([table[names].astype(float), time_of_day, coordinates])


def mean_absolute_error(durations: Floats, predictions: Floats) -> float:
    """Of arrays of shape [rows], in their unit."""
    return float(np.abs(durations - predictions).mean())


def score(table: pd.DataFrame, seed: int) -> Score:
    """Trains both models on one split and measures them on its test rows."""
    # TensorFlow and Beam take seconds to load, and a file that is not there should be told at once.
    from sklearn.ensemble import HistGradientBoostingRegressor

    from models.bikes import model, offline
    from models.bikes.options import TrainOptions

    train, validation, test = split(len(table), seed)
    durations = table[features.LABEL_KEY].to_numpy(float)
    with tempfile.TemporaryDirectory() as folder:
        transform = offline.analyze(table.iloc[train], Path(folder) / "graph")
        trips = [offline.transform(transform, table.iloc[rows]) for rows in (train, validation, test)]
        network = model.train_model(model.hyperparameters_from(None), trips[0], trips[1], TrainOptions(seed=seed + 1))
        predictions = network.predict(trips[2].inputs, batch_size=1_024, verbose=0)[:, 0]
    matrix = numeric(table)
    trees = HistGradientBoostingRegressor(loss="absolute_error", random_state=seed)
    trees.fit(matrix[train], durations[train])
    return Score(
        seed,
        mean_absolute_error(durations[test], predictions),
        mean_absolute_error(durations[test], trees.predict(matrix[test])),
        mean_absolute_error(durations[test], np.full(len(test), np.median(durations[train]))),
    )


def summary(scores: Sequence[Score]) -> dict[str, float | list[int] | list[float]]:
    """The benchmark's figures: means over the splits, in seconds, and the mean paired ratio with its scatter."""
    ratios = [each.ratio for each in scores]
    return {
        "mae": round(float(np.mean([each.mae for each in scores])), 1),
        "mae_hgb": round(float(np.mean([each.mae_hgb for each in scores])), 1),
        "mae_median": round(float(np.mean([each.mae_median for each in scores])), 1),
        "ratio": round(float(np.mean(ratios)), 4),
        "ratios": [round(ratio, 4) for ratio in ratios],
        "seeds": [each.seed for each in scores],
    }


def main() -> int:
    """Prints a line for each split and the figures as the last line; returns the exit status."""
    try:
        table = pd.read_csv(data_path(os.environ))
    except (OSError, ValueError) as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    scores = []
    for seed in SEEDS:
        scores.append(score(table, seed))
        print(f"{scores[-1]}, ratio {scores[-1].ratio:.3f}", flush=True)
    print(json.dumps(summary(scores)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
