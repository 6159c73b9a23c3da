"""`python -m tfx_pipeline`."""

from __future__ import annotations

import os
import sys

from tfx_pipeline.cli import app

try:
    app(prog_name="python -m tfx_pipeline")
except SystemExit as end:
    sys.stdout.flush()
    sys.stderr.flush()
    # Not a normal exit: TensorFlow's destructors complain there, and Beam's threads may wait for a node for ever.
    os._exit(end.code if isinstance(end.code, int) else 1 if end.code else 0)
