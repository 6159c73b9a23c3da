"""Keeps libraries from printing to the terminal of somebody who asked for one thing."""

from __future__ import annotations

import logging
import os
import warnings

_LOUD = ("absl", "apache_beam", "google", "tensorflow")


def libraries() -> None:
    """Silences what TensorFlow and its companions log, except errors. Call it before importing them.

    A TensorFlow log level set in the environment takes precedence.
    """
    # Read once, by the C++ side: 3 leaves only fatal errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
