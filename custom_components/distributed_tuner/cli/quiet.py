"""Keeps libraries from talking on the terminal of somebody who asked one thing."""

from __future__ import annotations

import logging
import os
import warnings

_LOUD = ("absl", "apache_beam", "google", "tensorflow")


def libraries() -> None:
    """Silences what TensorFlow and its companions say of themselves, and nothing that is wrong. Called before imports.

    What the environment says of TensorFlow's log level holds.
    """
    # Read once, by the C++ side: 3 leaves what ends the process.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
