"""`python -m tfx_pipeline`."""

from __future__ import annotations

from tfx_pipeline.cli import app

app(prog_name="python -m tfx_pipeline")
