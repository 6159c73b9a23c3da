"""A plain keras-tuner script: the trials of `small_tuner` in one process.

python -m benchmarks.subjects.stock_small DIRECTORY TRIALS
"""

from __future__ import annotations

import sys

from benchmarks.subjects import small_tuner

if __name__ == "__main__":
    tuner, fit = small_tuner.small(int(sys.argv[2]), sys.argv[1])
    tuner.search(**fit)
