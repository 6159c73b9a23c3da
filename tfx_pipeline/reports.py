"""Finds the report of a search."""

from __future__ import annotations

from pathlib import Path

from custom_components.distributed_tuner import keys
from tfx_pipeline import nodes
from tfx_pipeline.errors import PipelineError
from tfx_pipeline.run import outcome
from tfx_pipeline.settings import Settings


def find(settings: Settings) -> Path:
    """The report of the run RUN_ID if that run exists, else of the last run that has one; failed searches count.

    Raises:
      PipelineError: no search has finished yet.
    """
    known = outcome.run_ids(settings.metadata_path)
    wanted = [settings.run_id] if settings.run_id in known else known
    for run_id in wanted:
        record = outcome.read_run(settings.metadata_path, run_id)
        if artifact := record.output(nodes.SEARCH, keys.SEARCH_REPORT):
            return Path(artifact.uri) / keys.REPORT_FILE
        # A search that found too little has no outputs: TFX removes those of a failed node.
        failed = Path(settings.root) / nodes.SEARCH / keys.SEARCHES_DIR / keys.search_folder(run_id) / keys.REPORT_FILE
        if failed.exists():
            return failed
    raise PipelineError(f"No search below {settings.runs_dir} has a report yet: make run")
