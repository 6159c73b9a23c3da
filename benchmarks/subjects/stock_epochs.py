"""A plain keras-tuner script: the timed trials of `epochs_tuner`, as chief or worker of keras-tuner's own kind.

    KERASTUNER_TUNER_ID=… KERASTUNER_ORACLE_IP=… KERASTUNER_ORACLE_PORT=… \
        python -m benchmarks.subjects.stock_epochs DIRECTORY CONFIG
"""

from __future__ import annotations

import json
import sys

from benchmarks.subjects import epochs_tuner

if __name__ == "__main__":
    tuner, fit = epochs_tuner.timed(json.loads(sys.argv[2]), sys.argv[1])
    tuner.search(**fit)
