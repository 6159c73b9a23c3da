"""Makes keras-tuner's objects from their stored form, without changing the latter.

keras-tuner's own `from_config` and `from_state` replace the conditions in the data that they read by objects: the data
could then not be read again, nor sent or stored as JSON.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from keras_tuner.src.engine import hyperparameters as hp_module
from keras_tuner.src.engine import trial as trial_module


def hyperparameters(config: Mapping[str, Any]) -> hp_module.HyperParameters:
    """Undoes `HyperParameters.get_config`.

    Raises:
      KeyError, TypeError, ValueError: the data is not such a configuration.
    """
    return hp_module.HyperParameters.from_config(copy.deepcopy(config))


def trial(state: Mapping[str, Any]) -> trial_module.Trial:
    """Undoes `Trial.get_state`."""
    return trial_module.Trial.from_state(copy.deepcopy(state))
