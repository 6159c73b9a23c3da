"""Bayesian optimization that takes no time: keras-tuner's own but for the Gaussian process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras_tuner as kt
import numpy as np


class QuickBayesian(kt.oracles.BayesianOptimizationOracle):
    """Looks at all trials as keras-tuner's does, which that process could learn from, and then draws at random."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `Oracle.populate_space`."""
        self.gpr = SimpleNamespace(predict=lambda x, return_std: (np.zeros(1), np.zeros(1)))
        if self.trials:
            x, y = (np.nan_to_num(each, posinf=0.0, neginf=0.0) for each in self._vectorize_trials())
            assert np.isfinite(np.sum(np.square(x))) and np.isfinite(np.sum(np.square(y)))
        return dict(self._random_populate_space())
