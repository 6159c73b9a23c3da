"""A plain keras-tuner script as anybody would write it. It knows nothing of this project."""

import sys
import time
from typing import Any

import keras_tuner as kt


class Quadratic(kt.Tuner):
    """Minimizes (x - 1)^2."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
        """One trial, which takes as long as the command line says."""
        time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
        trial.status = "STOPPED"  # as tuners do that end a trial before its time; keras-tuner ends it again
        self.oracle.end_trial(trial)
        return (trial.hyperparameters.Float("x", -2.0, 2.0) - 1.0) ** 2


space = kt.HyperParameters()
space.Float("x", -2.0, 2.0)
tuner = Quadratic(
    kt.oracles.RandomSearchOracle(max_trials=8, seed=1, hyperparameters=space),
    directory=sys.argv[1],
    project_name="stock",
)
tuner.search()
print("best", tuner.get_best_hyperparameters()[0].values["x"])
